"""From one distance per patch to an anomaly map of the size of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from lsfa_lite.config import Rim
from lsfa_lite.data.sample import Sample
from lsfa_lite.errors import DataError, SettingError
from lsfa_lite.features.extract import PatchFeatures

GAP = 7  # pixels of the 224-pixel map; twice that is the widest gap that is closed


@torch.no_grad()
def anomaly_map(
    distances: Tensor,
    foreground: Tensor,
    size: int,
    sigma: float = 4.0,
    pixels: Tensor | None = None,
    rim: Rim = "cut",
) -> Tensor:
    """Patch distances -> map (size, size), float.

    distances (N,) and foreground (N,) bool on a square grid, row by row; sigma in pixels of the
    map; pixels (size, size) bool says where the part is, by default all pixels of foreground
    patches. Or B of each: B maps. Up-sampling and blur are averages over neighbours: here over
    *foreground* neighbours only (numerator and denominator go the same way, "normalised
    convolution"), so the zeros of the background do not pull down a defect at the rim. A pixel of
    the part that no foreground patch reaches stays 0. Everything is float: M3DM's blur goes through
    an 8-bit picture.

    What has no depth is no part, and a cut-off edge or a hole has none, though its mask counts it.
    rim="cut" says nothing there: exactly 0. rim="fade" lets the blur run out past the rim, the
    background's zeros counted: half of the rim's value beside it, and 0 from 4 sigma on.
    rim="close" does that too, but a gap that the part closes in on (`closed`) is the part's.
    """
    grid = math.isqrt(distances.shape[-1])
    if distances.shape[-1] != grid * grid or foreground.shape != distances.shape:
        raise DataError(
            f"distances {tuple(distances.shape)} and foreground {tuple(foreground.shape)}: "
            "expected (N,) for both, N a square number"
        )
    seen = foreground.to(distances.dtype)
    stacked = torch.stack([distances * seen, seen], dim=-2)  # (..., 2, N)
    stacked = rearrange(stacked, "... c (h w) -> (...) c h w", h=grid)
    if pixels is None:
        pixels = F.interpolate(stacked[:, 1:], size=(size, size), mode="nearest")[:, 0] > 0
    smooth = gaussian_blur(resize(stacked, size), sigma)  # (B, 2, H, W)
    total, share = smooth.view(*distances.shape[:-1], 2, size, size).unbind(-3)  # (..., H, W)
    pixels = pixels.view(total.shape)
    if rim == "close":
        pixels = closed(pixels, GAP)
    reached = pixels & (share > 1e-6)
    outside = torch.zeros_like(total) if rim == "cut" else total
    return torch.where(reached, total / share.clamp(min=1e-6), outside)  # (H, W)


def closed(pixels: Tensor, radius: int) -> Tensor:
    """(..., H, W) bool -> the same, with every gap and notch up to 2 radius pixels wide filled.

    A morphological closing: grown by a square of 2 radius + 1 pixels, and shrunk by it again.
    """
    side, around = 2 * radius + 1, [2 * radius] * 4
    stacked = pixels.view(-1, 1, *pixels.shape[-2:]).float()  # (B, 1, H, W)
    images = F.pad(stacked, around)  # (B, 1, H + 4 radius, W + 4 radius)
    grown = F.max_pool2d(images, side, stride=1)  # (B, 1, H + 2 radius, W + 2 radius)
    shrunk = -F.max_pool2d(-grown, side, stride=1)  # (B, 1, H, W)
    return shrunk.view(pixels.shape) > 0


def resize(images: Tensor, size: int) -> Tensor:
    """(B, C, h, w) -> (B, C, size, size), bilinear between pixel centres."""
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """(B, C, H, W) -> the same, blurred with zeros outside; sigma in pixels, 0 is off."""
    if sigma < 0:
        raise SettingError(f"sigma is {sigma}; give pixels >= 0")
    if sigma == 0:
        return images
    radius = int(4 * sigma + 0.5)
    offset = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
    kernel = kernel / kernel.sum()  # (2 radius + 1,)
    flat = rearrange(images, "b c h w -> (b c) 1 h w")
    flat = F.conv2d(flat, kernel[None, None, :, None], padding=(radius, 0))
    flat = F.conv2d(flat, kernel[None, None, None, :], padding=(0, radius))
    return rearrange(flat, "(b c) 1 h w -> b c h w", c=images.shape[1])


def map_of_scan(
    distances: Tensor, row: PatchFeatures, sample: Sample, sigma: float, rim: Rim = "cut"
) -> Tensor:
    """Patch distances (N,) of a described scan -> (H, W) float32 on the CPU."""
    return maps_of_scans([distances], [row], [sample], sigma, rim)[0]


@torch.no_grad()
def maps_of_scans(
    distances: Sequence[Tensor],
    rows: Sequence[PatchFeatures],
    samples: Sequence[Sample],
    sigma: float,
    rim: Rim = "cut",
) -> list[Tensor]:
    """`map_of_scan` of several, which leave their device together."""
    device = distances[0].device
    pixels = torch.stack([r.pixels for r in rows if r.pixels is not None])  # B S S
    on = torch.stack([r.foreground for r in rows]).to(device, non_blocking=True)  # B N
    inside = pixels.to(device, non_blocking=True)
    squares = anomaly_map(torch.stack([*distances]), on, pixels.shape[1], sigma, inside, rim).cpu()
    pairs = zip(squares, samples, strict=True)
    maps = [(unsquare(square, sample.shape).float(), sample) for square, sample in pairs]
    if rim != "cut":
        return [values for values, _ in maps]
    return [values * torch.from_numpy(sample.foreground) for values, sample in maps]


@torch.no_grad()
def unsquare(square: Tensor, size: tuple[int, int]) -> Tensor:
    """Square map -> (H, W): undoes "pad, centred, to a square of side max(H, W), resize".

    With an odd difference the smaller half of the padding lies above, or on the left.
    Raises ValueError for a map that is not square.
    """
    if square.ndim != 2 or square.shape[0] != square.shape[1]:
        raise DataError(f"the map has shape {tuple(square.shape)}, expected a square")
    height, width = size
    side = max(height, width)
    padded = resize(square[None, None], side)[0, 0]  # (side, side)
    top, left = (side - height) // 2, (side - width) // 2
    return padded[top : top + height, left : left + width].contiguous()  # (H, W)
