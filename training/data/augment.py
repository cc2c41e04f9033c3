"""Cheap augmentation of whole batches of luma crops, in torch."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from freeavatar.models.encoder import view_of_crops

_GRAINS = 128
"""Pictures of noise kept for the whole run: drawing noise afresh would cost more than all the rest."""


def random_views(
    crops: Tensor, size: int, mirror: Tensor, generator: torch.Generator, *, relight: bool = True
) -> Tensor:
    """Cut jittered, re-lit, blurred and noisy views out of loose crops.

    Args:
        crops: luma, ``(B, 1, 144, 144)`` or any other square size, float32 in [0, 1].
        size: side of the views in pixels.
        mirror: which crops to mirror, ``(B,)`` bool.
        generator: source of randomness.
        relight: change light, sharpness and noise, and cover parts, besides the geometry.

    Returns:
        ``(B, 1, size, size)`` float32 in [0, 1].
    """
    count = len(crops)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    angle, scale = torch.deg2rad(uniform(-2.5, 2.5)), uniform(0.97, 1.03)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    flip = 1 - 2 * mirror.float()
    shift_x, shift_y = uniform(-0.015, 0.015), uniform(-0.015, 0.015)
    rows = [torch.stack([cos * flip, -sin, shift_x], 1), torch.stack([sin * flip, cos, shift_y], 1)]
    views = view_of_crops(crops, size, warp=torch.stack(rows, 1))
    if not relight:
        return views
    views = _blur(views, uniform(0, 1))
    shape = (-1, 1, 1, 1)
    gamma, contrast = uniform(-0.4, 0.4).view(shape), uniform(0.65, 1.35).view(shape)
    light, noise = uniform(-0.15, 0.15).view(shape), uniform(-0.04, 0.04).view(shape)
    views = views.clamp_min_(1e-3).log_().mul_(gamma.exp()).exp_()
    views.sub_(0.5).mul_(contrast).add_(light + 0.5)
    grain = torch.randint(_GRAINS, (count,), generator=generator)
    views.addcmul_(_grains(size)[grain], noise).clamp_(0, 1)
    return _erase(views, uniform)


@lru_cache(maxsize=4)
def _grains(size: int) -> Tensor:
    return torch.randn(_GRAINS, 1, size, size, generator=torch.Generator().manual_seed(0))


def _blur(views: Tensor, draw: Tensor) -> Tensor:
    """Leave three in five as they are; soften a quarter; reduce the others to half the resolution and back."""
    soft, small = (draw > 0.6) & (draw < 0.85), draw >= 0.85
    views[soft] = avg_pool2d(views[soft], 3, 1, 1, count_include_pad=False)
    views[small] = interpolate(avg_pool2d(views[small], 2), scale_factor=2, mode="bilinear")
    return views


def _erase(views: Tensor, uniform: Callable[[float, float], Tensor]) -> Tensor:
    """Cover a rectangle of one view in eight with grey."""
    size = views.shape[-1]
    chosen = torch.nonzero(uniform(0, 1) < 1 / 8).flatten()
    heights, widths = uniform(size / 8, size / 3)[chosen], uniform(size / 8, size / 3)[chosen]
    tops, lefts = uniform(0, 1)[chosen] * (size - heights), uniform(0, 1)[chosen] * (size - widths)
    places = torch.arange(size)[None]
    rows = (places >= tops[:, None]) & (places < (tops + heights)[:, None])
    columns = (places >= lefts[:, None]) & (places < (lefts + widths)[:, None])
    covered = (rows[:, :, None] & columns[:, None, :])[:, None]
    views[chosen] = torch.where(covered, uniform(0, 1)[chosen].view(-1, 1, 1, 1), views[chosen])
    return views
