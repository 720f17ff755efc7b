"""Pretrain LITE's point network by masked autoencoding on shapes made by code, on one CPU core.

    python data_scripts/pretrain_point_mae.py --work pretraining

writes lsfa_lite/features/weights/point_mae_lite.safetensors and, beside it, a card in JSON with
the command, the seed and the loss curve. `--work` keeps the shapes and a checkpoint: the same
command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from point_shapes import add_details, make_scan
from safetensors.torch import save_file
from scipy.spatial.transform import Rotation
from torch import Tensor

from lsfa_book.pretraining import MaskedAutoencoder, reconstruction_loss
from lsfa_lite.config import PointConfig
from lsfa_lite.features.points import PointMAE, to_unit_sphere
from lsfa_lite.features.sampling import farthest_point_sampling, nearest_groups

WEIGHTS = Path(__file__).parents[1] / "lsfa_lite" / "features" / "weights"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=WEIGHTS / "point_mae_lite.safetensors")
    parser.add_argument("--work", type=Path, default=Path("pretraining"))
    parser.add_argument("--shapes", type=int, default=800)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--groups", type=int, default=256)
    parser.add_argument("--group-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--mask", type=float, default=0.6, help="share of groups hidden")
    parser.add_argument("--visible-weight", type=float, default=0.5)
    parser.add_argument("--stretch", type=float, default=3.0, help="along the normal; 1 is Chamfer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=100, help="steps between log lines and saves")
    return parser.parse_args()


def settings(options: argparse.Namespace) -> dict[str, int | float]:
    """What decides the result: all options but the folders and the log's rhythm."""
    return {k: v for k, v in vars(options).items() if k not in ("out", "work", "every")}


def shapes(folder: Path, count: int, seed: int) -> list[np.ndarray]:
    """`count` one-sided views; kept in `folder`, since making one takes a third of a second."""
    path = folder / f"shapes-{seed}-{count}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        clouds = [make_scan(seed * 1_000_000 + i) for i in range(count)]
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **{str(i): cloud for i, cloud in enumerate(clouds)})
        os.replace(partial, path)
    with np.load(path) as file:
        return [file[str(i)] for i in range(count)]


def example(cloud: np.ndarray, config: PointConfig, rng: np.random.Generator) -> list[Tensor]:
    """One training cloud: details, another pose, fewer points, sensor noise, groups.

    Returns neighbourhoods (G,K,3) with noise, centres (G,3), the targets: the same points (G,K,3)
    without noise, in mean group radii, and the targets' normals (G,3).
    """
    spin = Rotation.from_rotvec([*rng.normal(0, 0.15, 2), rng.uniform(0, 2 * np.pi)])
    clean = add_details(cloud, rng) @ spin.as_matrix().T
    # at use a cloud is thinned to a few thousand points: the patches must be as dense here
    count = int(np.exp(rng.uniform(np.log(3000), np.log(8000))))
    clean = rng.permutation(clean)[:count]
    noise = rng.normal(size=clean.shape) * [0.2, 0.2, 1.0] * rng.uniform(0, 0.006)
    points, surface = (
        to_unit_sphere(torch.from_numpy(cloud.astype(np.float32)))
        for cloud in (clean + noise, clean)
    )
    centres = points[farthest_point_sampling(points, config.groups)]  # (G,3)
    nearest = nearest_groups(points, centres, config.group_size)  # (G,K)
    neighbourhoods, target = (cloud[nearest] - centres[:, None] for cloud in (points, surface))
    spread = target - target.mean(dim=1, keepdim=True)
    normals = torch.linalg.eigh(spread.transpose(1, 2) @ spread).eigenvectors[..., 0]  # (G,3)
    radius = target.norm(dim=-1).amax(dim=-1).mean()
    return [neighbourhoods, centres, target / radius, normals]


def batch(clouds: list[np.ndarray], step: int, options: argparse.Namespace, config: PointConfig):
    """It depends on the seed and the step only, so that a resumed run sees the same batches."""
    rng = np.random.default_rng([options.seed, step])
    chosen = rng.integers(len(clouds), size=options.batch)
    columns = zip(*(example(clouds[i], config, rng) for i in chosen), strict=True)
    visible = round((1 - options.mask) * config.groups)
    order = rng.random((options.batch, config.groups)).argsort(axis=1)[:, :visible]
    return *(torch.stack(column) for column in columns), torch.from_numpy(order)


def learning_rate(step: int, options: argparse.Namespace) -> float:
    """Linear warm-up over 5 % of the steps, then a half cosine to zero."""
    warm = max(1, options.steps // 20)
    if step < warm:
        return options.lr * (step + 1) / warm
    return options.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / (options.steps - warm)))


def train_step(model, optimiser, data, options: argparse.Namespace) -> tuple[float, float]:
    neighbourhoods, centres, target, normals, visible = data
    predicted = model(neighbourhoods, centres, visible)  # in group radii, as the targets
    hidden, seen = reconstruction_loss(predicted, target, normals, visible, options.stretch)
    optimiser.zero_grad()
    (hidden + options.visible_weight * seen).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return hidden.item(), seen.item()


def save(
    model: MaskedAutoencoder, curve: list, options: argparse.Namespace, config, seconds
) -> None:
    """Weights and card, each written beside and renamed."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    partial = options.out.with_suffix(".partial")
    save_file({k: v.contiguous() for k, v in model.encoder.state_dict().items()}, partial)
    os.replace(partial, options.out)
    chosen = settings(options)
    card = {
        "what": "Point-MAE encoder of LITE, masked autoencoding on procedural one-sided scans",
        "command": "python data_scripts/pretrain_point_mae.py "
        + " ".join(f"--{k.replace('_', '-')} {v}" for k, v in chosen.items()),
        **chosen,
        "architecture": {
            k: getattr(config, k) for k in ("width", "token_hidden", "depth", "heads")
        },
        "seconds": round(seconds),
        "torch": torch.__version__,
        "curve": {"columns": ["step", "hidden", "visible"], "rows": curve},
    }
    partial.write_text(json.dumps(card, indent=1))
    os.replace(partial, options.out.with_suffix(".json"))


def resume(path: Path, model, optimiser, options: argparse.Namespace) -> tuple[int, list, float]:
    """Fill model and optimiser from the checkpoint, if there is one: step, curve, seconds."""
    if not path.exists():
        return 0, [], 0.0
    state = torch.load(path, weights_only=True)
    if state["settings"] != settings(options):
        raise SystemExit(f"{path} is of a run with other options; give another --work")
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return state["step"], state["curve"], state["seconds"]


def main() -> None:
    options = arguments()
    # the weights fit any number and size of groups; more of them at use than here is fine
    config = dataclasses.replace(
        PointConfig(), groups=options.groups, group_size=options.group_size
    )
    clouds = shapes(options.work, options.shapes, options.seed)
    torch.manual_seed(options.seed)
    model = MaskedAutoencoder(PointMAE(config), config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=0.05)
    checkpoint = options.work / "checkpoint.pt"
    start, curve, before = resume(checkpoint, model, optimiser, options)
    model.train()
    began, losses = time.time() - before, []
    for step in range(start, options.steps):
        for parameters in optimiser.param_groups:
            parameters["lr"] = learning_rate(step, options)
        losses.append(train_step(model, optimiser, batch(clouds, step, options, config), options))
        if (step + 1) % options.every and step + 1 < options.steps:
            continue
        hidden, visible = (round(float(v), 5) for v in np.mean(losses, axis=0))
        curve.append([step + 1, hidden, visible])
        losses, seconds = [], time.time() - began
        print(f"step {step + 1} hidden {hidden} visible {visible} {seconds:.0f} s", flush=True)
        save(model, curve, options, config, seconds)
        state = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
        state |= {"step": step + 1, "curve": curve, "seconds": seconds}
        torch.save({**state, "settings": settings(options)}, f"{checkpoint}.partial")
        os.replace(f"{checkpoint}.partial", checkpoint)


if __name__ == "__main__":
    main()
