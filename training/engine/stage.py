"""What a stage of training gives to the engine, and the engine's settings."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from freeavatar.errors import InputError
from training.engine.batches import Batch
from training.engine.devices import torch_device


@dataclass(frozen=True)
class EngineConfig:
    """How to train, whatever it is."""

    out: Path
    """Folder of the run."""
    steps: int = 0
    """Length of the schedule in steps; goes before minutes and epochs."""
    minutes: float = 0.0
    """Length of the schedule in minutes of training; goes before epochs."""
    epochs: float = 0.0
    """Length of the schedule in passes over the data."""
    batch: int = 64
    """Images of a part of a step."""
    parts: int = 1
    """Parts of a step: batches whose gradients are averaged; a multiple of the number of processes."""
    rate: float = 1.5e-3
    """Peak learning rate of AdamW; after the warm-up it falls along a cosine to 0."""
    rate_images: int = 0
    """Images a step for which ``rate`` is meant: it grows in proportion. 0: whatever their number."""
    warmup: float = 0.03
    """Part of the schedule over which the rate rises, in [0, 1)."""
    weight_decay: float = 0.03
    """Of matrices and kernels; biases and scales are left alone."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's."""
    clip: float = 2.0
    """Largest norm of the gradient."""
    ema: float = 0.998
    """Decay a step of the average of the weights, which is what a run hands on; less in the first steps."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 is autocast over float32 weights; auto takes it on CUDA."""
    is_compiled: bool = False
    """Compile the model with torch.compile."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    workers: int = 1
    """Threads that make batches ahead of time; on CUDA processes."""
    save_minutes: float = 3.0
    """Minutes between checkpoints; 0 saves after every step."""
    log_every: int = 50
    """Steps between lines of metrics.jsonl."""
    look_every: int = 0
    """Steps between looks at whether the loss is finite, each of which waits for the GPU: 0 for 25 on CUDA, else 1."""
    report_every: int = 0
    """Steps between a stage's own reports (pictures, validation); 0 for none."""
    seed: int = 0

    def __post_init__(self) -> None:
        if max(self.steps, self.minutes, self.epochs) <= 0:
            raise ValueError("the schedule has no length: give --steps, --minutes or --epochs")
        for name in ("batch", "parts", "workers", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if not 0 <= self.warmup < 1 or not 0 <= self.ema < 1:
            raise ValueError(f"warmup is {self.warmup} and ema {self.ema}, expected numbers in [0, 1)")


def _as_it_is(batch: Batch) -> Batch:
    return batch


@dataclass(frozen=True, eq=False)
class Stage:
    """What to train: all that tells one stage from another."""

    model: nn.Module
    """What is trained, on the device of the run."""
    draw: Callable[[int, int], Batch]
    """The batch of a step and a part; a pure function, called in threads."""
    names: Callable[[int, int], list[str]]
    """Names of the images of that batch, for messages."""
    loss: Callable[[nn.Module, Batch], dict[str, Tensor]]
    """Weighted losses of a batch, which are added up."""
    export: Callable[[nn.Module, dict[str, Any]], Any]
    """Writes the averaged model's weights, with the steps and minutes they took."""
    total: int = 0
    """Number of images in an epoch; needed where the schedule is given in epochs."""
    groups: Callable[[nn.Module], list[dict[str, Any]]] | None = None
    """Parameter groups of the optimizer; ``lr_scale`` scales a group's rate. Default: by dimension."""
    sources: dict[str, str] = field(default_factory=dict)
    """Sha256 of the labels trained on, by file: kept in config.json, so that it is known who was learned from."""
    report: Callable[[nn.Module, int], dict[str, float]] | None = None
    """Looks at the averaged model (in evaluation mode) at a step; the numbers go into metrics.jsonl."""
    prepare: Callable[[Batch], Batch] = _as_it_is
    """Makes of a drawn batch, on the device of the run, what the losses take: views of crops, for instance."""


def device_of(config: EngineConfig) -> torch.device:
    """The device of this process; of several that torchrun started, each takes a GPU of its own.

    Raises:
        InputError: it is not there, or one GPU is named for several processes.
    """
    device, rank = torch_device(config.device), os.environ.get("LOCAL_RANK")
    if device.type != "cuda" or rank is None:
        return device
    if device.index is not None and int(os.environ.get("LOCAL_WORLD_SIZE", 1)) > 1:
        raise InputError(
            "{} is one GPU and several processes want one each: give cuda, and choose by CUDA_VISIBLE_DEVICES.", device
        )
    return torch.device("cuda", int(rank)) if device.index is None else device
