"""Speed of the training loop, beside the model alone and beside the plainest loop.

    OMP_NUM_THREADS=1 python -m benchmarks.training_loop --faces FACES --renders DIR --steps 1 --out /tmp/loop
    python -m benchmarks.training_loop --renders DIR --steps 1 --out /tmp/loop --batch 8 --rounds 1 --measured 3

Takes the settings of ``training.train``. *Model*: forward, losses, backward and optimizer on one batch that
lies ready. *Loop*: ``training.engine.loop`` as a run has it. *Plain*: float32, every image decoded by PIL and
augmented when it is needed, nothing in the background. The three take turns; ratios are medians over the turns. On
a busy machine believe the processor's time, in which making batches in the background does not show.
"""

import io
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from PIL import Image
from torch import nn

from freeavatar.networks import load_bundle
from training.data.images import ImagePool
from training.data.mixture import Mixture
from training.data.triplets import split_id
from training.engine.batches import Batch
from training.engine.loop import run
from training.engine.optimizer import parameter_groups
from training.engine.stage import Stage, device_of
from training.train import Objective, TrainConfig, Trainee, open_mixture


@dataclass(frozen=True)
class LoopConfig(TrainConfig):
    """What to time; steps, minutes and epochs do not matter."""

    rounds: int = 5
    """Turns of the three."""
    measured: int = 8
    """Steps of each a turn, after two that do not count."""


class PlainPool(ImagePool):
    """Images decoded by PIL whenever they are asked for."""

    def gather(self, index: np.ndarray) -> np.ndarray:
        """Crops of some images, ``(B, S, S)`` uint8."""
        return np.stack([_decoded(self.ids[k]) for k in index])


@cache
def _container(path: Path) -> Any:
    return np.load(path, mmap_mode="r") if path.suffix == ".npy" else zipfile.ZipFile(path)


def _decoded(name: str) -> np.ndarray:
    path, member = split_id(name)
    if path.suffix == ".npy":
        return np.asarray(_container(path)[int(member or 0)])
    data = _container(path).read(member) if member else path.read_bytes()
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))


def plain_pool(ids: Sequence[str], **_: Any) -> ImagePool:
    """A pool that decodes nothing in advance."""
    return PlainPool(tuple(ids), (), np.empty((0, 2), np.int64))


class Clock:
    """Seconds of steps: as the wall has them, and as the processor gave them to this thread."""

    def __init__(self) -> None:
        self._marks = [(time.perf_counter(), time.thread_time())]

    def mark(self) -> None:
        """A step has ended."""
        self._marks.append((time.perf_counter(), time.thread_time()))

    def seconds(self) -> np.ndarray:
        """Medians of both over the steps, without the first two, ``(2,)``."""
        return np.median(np.diff(self._marks, axis=0)[2:], axis=0)


def time_steps(
    model: Any, objective: Objective, draw: Callable[[int], Batch], config: LoopConfig, *, bf16: bool
) -> Clock:
    """Plain steps on what ``draw`` gives."""
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.03), lr=1e-4)
    clock = Clock()
    for step in range(config.measured + 2):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            losses = objective(model, draw(step))
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        clock.mark()
    return clock


def time_loop(model: Any, objective: Objective, mixture: Mixture, config: LoopConfig) -> Clock:
    """Steps of the engine."""
    stage = Stage(model, mixture.draw, mixture.names, objective, lambda model, info: None, prepare=mixture.prepare)
    with tempfile.TemporaryDirectory() as out:
        engine = replace(config.engine, out=Path(out), steps=config.measured + 2, save_minutes=60.0, report_every=0)
        clock = Clock()
        run(stage, engine, config, on_step=lambda step: clock.mark())
    return clock


def main(config: LoopConfig) -> None:
    """Print images a second of the three, and their ratios."""
    config = replace(config, engine=replace(config.engine, device="cpu"))
    device, mixture = device_of(config.engine), open_mixture(config)
    plain = open_mixture(config, opener=plain_pool)
    teacher = load_bundle(config.teacher) if config.teacher and config.losses.distillation else None
    objective = Objective(mixture, config, device, teacher)
    model = Trainee(config, len(mixture.classes), teacher).to(memory_format=torch.channels_last)
    ready, bf16 = mixture.prepare(mixture.draw(0, 0)), config.engine.precision == "bf16"
    rounds = []
    for _ in range(config.rounds):
        alone = time_steps(model, objective, lambda step: ready, config, bf16=bf16)
        loop = time_loop(model, objective, mixture, config)
        plainest = time_steps(model, objective, lambda step: plain.prepare(plain.draw(step, 0)), config, bf16=False)
        rounds.append([clock.seconds() for clock in (alone, loop, plainest)])
    wall, processor = np.moveaxis(np.array(rounds), 2, 0)
    for name, seconds in zip(("model", "loop", "plain"), np.median(wall, axis=0), strict=True):
        print(f"{name:6s} {config.engine.batch / seconds:7.1f} images/s")
    for name, seconds in (("wall clock", wall), ("processor time of the main thread", processor)):
        ratios = np.median(seconds[:, [0, 2]] / seconds[:, [1]], axis=0)
        print(f"by {name}: loop / model {ratios[0]:.3f}, loop / plain {ratios[1]:.2f}")


if __name__ == "__main__":
    main(tyro.cli(LoopConfig, description=__doc__, config=(tyro.conf.OmitArgPrefixes,)))
