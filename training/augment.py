"""Cheap augmentation of whole batches of luma crops, in torch."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from freeavatar.models.encoder import view_of_crops


def random_views(crops: Tensor, size: int, mirror: Tensor, generator: torch.Generator) -> Tensor:
    """Cut jittered, re-lit, blurred and noisy views out of loose crops.

    Args:
        crops: luma, ``(B, 1, 144, 144)`` float32 in [0, 1].
        size: side of the views in pixels.
        mirror: which crops to mirror, ``(B,)`` bool.
        generator: source of randomness.

    Returns:
        ``(B, 1, size, size)`` float32.
    """
    count = len(crops)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    angle, scale = torch.deg2rad(uniform(-5, 5)), uniform(0.94, 1.06)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    flip = 1 - 2 * mirror.float()
    shift_x, shift_y = uniform(-0.04, 0.04), uniform(-0.04, 0.04)
    rows = [torch.stack([cos * flip, -sin, shift_x], 1), torch.stack([sin * flip, cos, shift_y], 1)]
    views = view_of_crops(crops, size, warp=torch.stack(rows, 1))
    views = _blur(views, uniform(0, 1))

    def column(low: float, high: float) -> Tensor:
        return uniform(low, high)[:, None, None, None]

    views = views.clamp_min(1e-3) ** torch.exp(column(-0.4, 0.4))
    views = (views - 0.5) * column(0.65, 1.35) + 0.5 + column(-0.15, 0.15)
    noise = torch.randn(views.shape, generator=generator)
    return _erase((views + noise * column(0, 0.04)).clamp(0, 1), generator)


def _blur(views: Tensor, draw: Tensor) -> Tensor:
    """Leave three in five as they are; soften a quarter; reduce the others to half the resolution and back."""
    out = views.clone()
    soft, small = (draw > 0.6) & (draw < 0.85), draw >= 0.85
    out[soft] = avg_pool2d(views[soft], 3, 1, 1, count_include_pad=False)
    out[small] = interpolate(avg_pool2d(views[small], 2), scale_factor=2, mode="bilinear")
    return out


def _erase(views: Tensor, generator: torch.Generator) -> Tensor:
    """Cover a rectangle of one view in eight with grey."""
    size = views.shape[-1]
    for k in torch.nonzero(torch.rand(len(views), generator=generator) < 1 / 8).flatten().tolist():
        h, w = torch.randint(size // 8, size // 3, (2,), generator=generator).tolist()
        y, x = (torch.rand(2, generator=generator) * torch.tensor([size - h, size - w])).int().tolist()
        views[k, :, y : y + h, x : x + w] = torch.rand(1, generator=generator)
    return views
