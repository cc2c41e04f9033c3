"""Cheap augmentation of whole batches of luma crops, in torch.

What is random is drawn on the CPU, so that a batch is the same on every device; it is applied where the crops are.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from freeavatar.networks import view_of_crops
from training.engine.batches import Batch

_GRAINS = 128
"""Pictures of noise kept for the whole run: drawing noise afresh would cost more than all the rest."""
_SHADE = 0.2
"""Largest deviation of the logarithm of light from place to place, as soft as 4 x 4 numbers over a view are."""
_PREFIX = "jitter_"


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
    drawn = draw_jitter(size, mirror, generator, relight=relight)
    return jittered(crops, size, {name: values.to(crops.device) for name, values in drawn.items()})


def draw_jitter(size: int, mirror: Tensor, generator: torch.Generator, *, relight: bool = True) -> Batch:
    """What :func:`jittered` does to the crops of a batch, as :func:`random_views` takes it; part of the batch."""
    count = len(mirror)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    angle, scale = torch.deg2rad(uniform(-2.5, 2.5)), uniform(0.97, 1.03)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    flip = 1 - 2 * mirror.float()
    shift_x, shift_y = uniform(-0.015, 0.015), uniform(-0.015, 0.015)
    rows = [torch.stack([cos * flip, -sin, shift_x], 1), torch.stack([sin * flip, cos, shift_y], 1)]
    drawn = {"warp": torch.stack(rows, 1)}
    if relight:
        blur = uniform(0, 1)
        drawn |= {
            "soft": torch.nonzero((blur > 0.6) & (blur < 0.85)).flatten(),
            "small": torch.nonzero(blur >= 0.85).flatten(),
            "gamma": uniform(-0.4, 0.4), "contrast": uniform(0.65, 1.35), "light": uniform(-0.15, 0.15),
            "noise": uniform(-0.04, 0.04), "grain": torch.randint(_GRAINS, (count,), generator=generator),
        }  # fmt: skip
        drawn["shade"] = _SHADE * uniform(0, 1).view(-1, 1, 1, 1) * torch.randn(count, 1, 4, 4, generator=generator)
        erased = torch.nonzero(uniform(0, 1) < 1 / 8).flatten()
        heights, widths = uniform(size / 8, size / 3)[erased], uniform(size / 8, size / 3)[erased]
        tops, lefts = uniform(0, 1)[erased] * (size - heights), uniform(0, 1)[erased] * (size - widths)
        drawn |= {
            "erased": erased, "box": torch.stack([tops, tops + heights, lefts, lefts + widths], 1),
            "grey": uniform(0, 1)[erased],
        }  # fmt: skip
    return {_PREFIX + name: values for name, values in drawn.items()}


def jittered(crops: Tensor, size: int, batch: Batch) -> Tensor:
    """Views of crops, uint8 or float32 in [0, 1], as the batch's jitter says, on the device of both."""
    drawn = {name.removeprefix(_PREFIX): values for name, values in batch.items() if name.startswith(_PREFIX)}
    crops = crops.float().div_(255) if crops.dtype == torch.uint8 else crops
    views = view_of_crops(crops, size, warp=drawn["warp"])
    if "gamma" not in drawn:
        return views
    soft, small, shape = drawn["soft"], drawn["small"], (-1, 1, 1, 1)
    # Three in five stay as they are, a quarter is softened, the others go to half the resolution and back.
    views[soft] = avg_pool2d(views[soft], 3, 1, 1, count_include_pad=False)
    views[small] = interpolate(avg_pool2d(views[small], 2), scale_factor=2, mode="bilinear")
    gamma, contrast, light, noise = (drawn[name].view(shape) for name in ("gamma", "contrast", "light", "noise"))
    shade = interpolate(drawn["shade"], views.shape[-2:], mode="bicubic", align_corners=False)
    views = views.clamp_min_(1e-3).log_().mul_(gamma.exp()).add_(shade).exp_()
    views.sub_(0.5).mul_(contrast).add_(light + 0.5)
    views.addcmul_(_grains(size, views.device)[drawn["grain"]], noise).clamp_(0, 1)
    return _erase(views, drawn)


def cut_views(batch: Batch, size: int) -> Batch:
    """A batch with ``views`` in the place of its ``crops`` and their jitter."""
    rest = {name: values for name, values in batch.items() if name != "crops" and not name.startswith(_PREFIX)}
    return {"views": jittered(batch["crops"], size, batch), **rest}


@lru_cache(maxsize=4)
def _grains(size: int, device: torch.device) -> Tensor:
    return torch.randn(_GRAINS, 1, size, size, generator=torch.Generator().manual_seed(0)).to(device)


def _erase(views: Tensor, drawn: Batch) -> Tensor:
    """Cover a rectangle of some views with grey."""
    erased, (top, bottom, left, right) = drawn["erased"], drawn["box"].T[..., None]
    places = torch.arange(views.shape[-1], device=views.device)[None]
    rows, columns = (places >= top) & (places < bottom), (places >= left) & (places < right)
    covered = (rows[:, :, None] & columns[:, None, :])[:, None]
    views[erased] = torch.where(covered, drawn["grey"].view(-1, 1, 1, 1), views[erased])
    return views
