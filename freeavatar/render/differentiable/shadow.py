"""The shadow of the key light, as ``render/shadow.py`` describes it, in torch; it carries no gradient."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, pad

from freeavatar.render.differentiable import ops
from freeavatar.render.shadow import BIAS, BLEEDING, EMPTY, KERNEL, LEAST_VARIANCE, MAP_SIZE


@torch.no_grad()
def shadow_moments(context: object, clip: Tensor, triangles: Tensor) -> Tensor:
    """Blurred depth and squared depth, ``(N, 2, S, S)``, of a mesh at ``clip`` ``(N, V, 4)``."""
    rast, _ = ops.rasterize(context, clip.contiguous(), triangles, (MAP_SIZE, MAP_SIZE))
    depth = torch.where(rast[..., 3] > 0, rast[..., 2], EMPTY)[:, None]
    moments = torch.cat([depth, depth * depth], dim=1)
    kernel = moments.new_tensor(KERNEL).expand(2, 1, 1, -1)
    reach = len(KERNEL) // 2
    moments = conv2d(pad(moments, (reach, reach, 0, 0), mode="replicate"), kernel, groups=2)
    return conv2d(pad(moments, (0, 0, reach, reach), mode="replicate"), kernel.mT, groups=2)


@torch.no_grad()
def key_light(moments: Tensor, points: Tensor, strength: float) -> Tensor:
    """How much of the key light arrives, ``(P, 1)`` in [0, 1].

    Args:
        moments: of one mesh, ``(2, S, S)``.
        points: in the light's clip space, ``(P, 3)``.
        strength: what a full shadow takes away, in [0, 1].
    """
    found = grid_sample(moments[None], points[None, None, :, :2], padding_mode="border", align_corners=False)
    mean, square = found[0, :, 0]
    behind = (points[:, 2] - BIAS - mean).clamp_min(0)
    variance = (square - mean * mean).clamp_min(LEAST_VARIANCE)
    lit = ((variance / (variance + behind * behind) - BLEEDING) / (1 - BLEEDING)).clamp(0, 1)
    return (1 - strength * (1 - lit))[:, None]
