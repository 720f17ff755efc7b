"""From one distance per patch to an anomaly map of the size of the picture."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from lsfa_lite.data.sample import Sample
from lsfa_lite.features.extract import PatchFeatures


@torch.no_grad()
def anomaly_map(
    distances: Tensor,
    foreground: Tensor,
    size: int,
    sigma: float = 4.0,
    pixels: Tensor | None = None,
) -> Tensor:
    """Patch distances -> map (size, size), float, exactly 0 on the background.

    distances (N,) and foreground (N,) bool on a square grid, row by row; sigma in pixels of the
    map; pixels (size, size) bool says where the part is, by default all pixels of foreground
    patches. Up-sampling and blur are averages over neighbours: here over *foreground* neighbours
    only (numerator and denominator go the same way, "normalised convolution"), so the zeros of
    the background do not pull down a defect at the rim. A pixel of the part that no foreground
    patch reaches stays 0. Everything is float: M3DM's blur goes through an 8-bit picture.
    """
    grid = math.isqrt(len(distances))
    if distances.shape != (grid * grid,) or foreground.shape != distances.shape:
        raise ValueError(
            f"distances {tuple(distances.shape)} and foreground {tuple(foreground.shape)}: "
            "expected (N,) for both, N a square number"
        )
    seen = foreground.to(distances.dtype)
    stacked = torch.stack([distances * seen, seen])  # (2, N)
    stacked = rearrange(stacked, "c (h w) -> 1 c h w", h=grid)
    if pixels is None:
        pixels = (
            F.interpolate(stacked[:, 1:], size=(size, size), mode="nearest")[0, 0] > 0
        )  # (H, W)
    smooth = gaussian_blur(resize(stacked, size), sigma)  # (1, 2, H, W)
    total, share = smooth[0]  # (H, W) each
    reached = pixels & (share > 1e-6)
    return torch.where(reached, total / share.clamp(min=1e-6), torch.zeros_like(total))  # (H, W)


def resize(images: Tensor, size: int) -> Tensor:
    """(B, C, h, w) -> (B, C, size, size), bilinear between pixel centres."""
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """(B, C, H, W) -> the same, blurred with zeros outside; sigma in pixels, 0 is off."""
    if sigma < 0:
        raise ValueError(f"sigma is {sigma}; give pixels >= 0")
    if sigma == 0:
        return images
    radius = int(4 * sigma + 0.5)
    offset = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
    kernel = kernel / kernel.sum()  # (2 radius + 1,)
    flat = rearrange(images, "b c h w -> (b c) 1 h w")
    flat = F.conv2d(flat, kernel[None, None, :, None], padding=(radius, 0))
    flat = F.conv2d(flat, kernel[None, None, None, :], padding=(0, radius))
    return rearrange(flat, "(b c) 1 h w -> b c h w", b=len(images))


@torch.no_grad()
def map_of_scan(distances: Tensor, row: PatchFeatures, sample: Sample, sigma: float) -> Tensor:
    """Patch distances (N,) of a described scan -> (H, W) float32 on the CPU, 0 off the part."""
    assert row.pixels is not None  # a scan that was just described has them
    on, pixels = row.foreground.to(distances.device), row.pixels.to(distances.device)
    square = anomaly_map(distances, on, len(pixels), sigma, pixels)
    values = unsquare(square, sample.shape).float().cpu()
    return values * torch.from_numpy(sample.foreground)


@torch.no_grad()
def unsquare(square: Tensor, size: tuple[int, int]) -> Tensor:
    """Square map -> (H, W): undoes "pad, centred, to a square of side max(H, W), resize".

    With an odd difference the smaller half of the padding lies above, or on the left.
    Raises ValueError for a map that is not square.
    """
    if square.ndim != 2 or square.shape[0] != square.shape[1]:
        raise ValueError(f"the map has shape {tuple(square.shape)}, expected a square")
    height, width = size
    side = max(height, width)
    padded = resize(square[None, None], side)[0, 0]  # (side, side)
    top, left = (side - height) // 2, (side - width) // 2
    return padded[top : top + height, left : left + width].contiguous()  # (H, W)
