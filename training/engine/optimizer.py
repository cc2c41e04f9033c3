"""Parameter groups, the learning rate over a schedule, and the average of the weights."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters of two and more dimensions, which decay, and the others, which do not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def averaging(decay: float) -> Callable[..., None]:
    """Update of the average; it forgets faster at first, so that a short run's average is its own."""

    def update(averages: list[Tensor], values: list[Tensor], count: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, weight)
        else:
            torch._foreach_copy_(averages, values)

    return update


def rate_at(progress: float, warmup: float) -> float:
    """Learning rate in units of its peak (He et al. 2022, appendix A: linear warm-up, half a cosine)."""
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    return max(0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))), 1e-3)
