"""What others need for the same: references of the stages, imported when they are called.

Those that know no GPU get their tensors on the CPU; that copy is timed, it is part of the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from lsfa_book.bench.stage import Inputs, Reference
from lsfa_lite.data.quiet_open3d import open3d
from lsfa_lite.features.nearest import nearest
from lsfa_lite.scoring.coreset import k_centres, project


def host(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


# --- sampling and groups -------------------------------------------------------------------------


def open3d_fps(points: Tensor, count: int) -> np.ndarray:
    o3d = open3d()
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(host(points).astype(np.float64)))
    return np.asarray(cloud.farthest_point_down_sample(count).points)  # (G, 3)


def fpsample_fps(points: Tensor, count: int) -> np.ndarray:
    import fpsample

    return np.asarray(fpsample.fps_sampling(host(points), count, start_idx=0), np.int64)


def kd_tree_groups(points: Tensor, centres: Tensor, size: int) -> np.ndarray:
    return cKDTree(host(points)).query(host(centres), size)[1]


def cdist_groups(points: Tensor, centres: Tensor, size: int) -> Tensor:
    exact = "donot_use_mm_for_euclid_dist"
    distances = torch.cdist(centres, points, compute_mode=exact)
    return distances.topk(size, largest=False).indices


def open3d_fpfh(points: Tensor, radius: float, neighbours: int) -> np.ndarray:
    o3d = open3d()
    search = o3d.geometry.KDTreeSearchParamHybrid(radius, neighbours)
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(host(points).astype(np.float64)))
    cloud.estimate_normals(search)
    cloud.orient_normals_towards_camera_location(np.zeros(3))
    raw = o3d.pipelines.registration.compute_fpfh_feature(cloud, search).data.T  # (P, 33)
    return raw / 200  # each of three histograms sums to 200, where a point has neighbours


# --- Eq. 1 ---------------------------------------------------------------------------------------


def mixing(points: Tensor, centres: Tensor, features: Tensor, k: int | None) -> Tensor:
    """The product of Eq. 1 with weights that cost nothing."""
    return points.new_ones(len(points), len(centres)) @ features


def kd_tree_mixing(points: Tensor, centres: Tensor, features: Tensor, k: int) -> Tensor:
    distance, index = cKDTree(host(centres)).query(host(points), k)  # (P, K)
    weight = 1 / np.maximum(distance, 1e-12)
    weight = (weight / weight.sum(1, keepdims=True)).astype(np.float32)
    mixed = np.einsum("pk,pkd->pd", weight, host(features)[index])
    return torch.from_numpy(mixed)


# --- the nearest row -----------------------------------------------------------------------------


def cdist_nearest(queries: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    found = torch.cdist(queries, bank).min(1)
    return found.values, found.indices


def product(queries: Tensor, bank: Tensor) -> Tensor:
    return queries @ bank.T


def faiss_nearest(queries: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    import faiss

    index = faiss.IndexFlatL2(bank.shape[1])
    index.add(host(bank))
    squared, rows = index.search(host(queries), 1)
    return torch.from_numpy(squared[:, 0]).sqrt(), torch.from_numpy(rows[:, 0])


def cdist_compactness(features: Tensor, bank: Tensor, chunk: int = 500) -> tuple[Tensor, Tensor]:
    """Eq. 5 as one would first write it; in parts, for autograd keeps every distance."""
    losses, gradients = [], []
    for part in features.detach().split(chunk):
        part.requires_grad_(True)
        loss = torch.cdist(part, bank).min(1).values.sum()
        gradients.append(torch.autograd.grad(loss, part)[0])
        losses.append(loss.detach())
    return torch.stack(losses).sum(), torch.cat(gradients)


# --- coreset -------------------------------------------------------------------------------------


def plain_coreset(features: Tensor, count: int) -> Tensor:
    return k_centres(project(features, 128, seed=0), count)


def anomalib_coreset(features: Tensor, count: int) -> Tensor:
    from anomalib.models.components import KCenterGreedy

    chosen = KCenterGreedy(features, (count + 0.5) / len(features)).select_coreset_idxs()
    return torch.stack([torch.as_tensor(i) for i in chosen]).to(features.device)


# --- metrics -------------------------------------------------------------------------------------


def sort(maps: Sequence[np.ndarray], masks: object) -> np.ndarray:
    return np.sort(np.concatenate([m.ravel() for m in maps]))


def anomalib_aupro(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> float:
    from anomalib.metrics.aupro import _AUPRO

    metric = _AUPRO(fpr_limit=0.3)
    metric.update(torch.from_numpy(np.stack(maps)), torch.from_numpy(np.stack(masks)).int())
    return float(metric.compute())


# --- how far both say the same -------------------------------------------------------------------


def same_indices(ours: Any, theirs: Any, _: Inputs) -> str:
    one, other = (torch.as_tensor(x).cpu() for x in (ours, theirs))
    return f"{(one == other).float().mean():.2%} of the indices"


def same_points(ours: Tensor, theirs: np.ndarray, inputs: Inputs) -> str:
    one = {tuple(p) for p in host(inputs[0])[host(ours)].astype(np.float64).tolist()}
    return f"{len(one & {tuple(p) for p in theirs.tolist()})} of {len(one)} points"


def same_values(ours: Any, theirs: Any, _: Inputs) -> str:
    """The largest difference of the first (or only) results, as a share of the largest value."""
    pair = (x[0] if isinstance(x, tuple) else x for x in (ours, theirs))
    one, other = (torch.as_tensor(x).double().cpu() for x in pair)
    return f"within {float((one - other).abs().max() / other.abs().max()):.0e}"


def same_gradient(ours: Any, theirs: Any, inputs: Inputs) -> str:
    loss = same_values(ours, theirs, inputs)
    return f"loss {loss}, gradient {same_values(ours[1], theirs[1], inputs)}"


def same_cover(ours: Tensor, theirs: Tensor, inputs: Inputs) -> str:
    """The farthest that any row lies from the chosen ones; each starts at a row of its own."""
    features = inputs[0]
    one, other = (float(nearest(features, features[c])[0].max()) for c in (ours, theirs))
    return f"covers within {one:.3g}, theirs {other:.3g}"


# --- the references themselves -------------------------------------------------------------------

FPS = (
    Reference("open3d", open3d_fps, same_points, "open3d"),
    Reference("fpsample", fpsample_fps, same_indices, "fpsample"),
)
GROUPS = (
    Reference("scipy cKDTree", kd_tree_groups, same_indices),
    Reference("cdist, topk", cdist_groups, same_indices),
)
FPFH = (Reference("open3d", open3d_fpfh, same_values, "open3d"),)
MIX_ALL = (Reference("one product alone", mixing),)
MIX_FEW = (Reference("scipy cKDTree, einsum", kd_tree_mixing, same_values),)
NEAREST = (
    Reference("torch.cdist, min", cdist_nearest, same_values),
    Reference("one product alone", product),
    Reference("faiss, exact", faiss_nearest, same_values, "faiss"),
)
COMPACTNESS = (
    Reference("autograd of cdist", cdist_compactness, same_gradient),
    Reference("one product alone", product),
)
CORESET = (
    Reference("the plain loop", plain_coreset, same_indices),
    # for few rows only: with 20,000 it takes more memory at every choice, 23 GB before it ends
    Reference("anomalib", anomalib_coreset, same_cover, "anomalib.models.components"),
)
AUPRO = (
    Reference("sort alone", sort),
    Reference("anomalib", anomalib_aupro, same_values, "anomalib.metrics.aupro"),
)
