"""Train the expression encoder and the rig decoder together, on real faces and on renders.

    python -m training.train --faces FACES --renders DIR [DIR ...] --out RUN --minutes 40
    python -m training.train --renders DIR --out /tmp/run --steps 20 --batch 16   # under a minute

FACES is a folder with images.zip and labels.csv; renders come from ``training.render_faces``. Real faces
are trained on silver labels, where those are alive, through a learned map of scales, and renders on
their true rigs; triplets of both shape the embedding. ``RUN`` keeps config.json, metrics.jsonl and
checkpoint.pt, from which the same command goes on; SIGTERM saves it and ends with 0.
"""

import json
import logging
import math
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from freeavatar.errors import InputError
from freeavatar.files import replacing
from freeavatar.models.bundle import load_bundle, save_bundle
from freeavatar.models.decoder import DecoderConfig, RigDecoder
from freeavatar.models.encoder import Encoder, EncoderConfig
from freeavatar.rig import ARKIT, mirrored
from training.augment import random_views
from training.faces_data import DEAD, FAINT, ONE_SIDED, decode_faces, read_rows, rigs_of
from training.losses import mine_triplets, rig_loss, triplet_loss
from training.pretrained import load_imagenet

logger = logging.getLogger(__name__)

LOG_EVERY = 50
"""Steps between lines of metrics.jsonl."""
SAVE_SECONDS = 180
"""Seconds between checkpoints."""


@dataclass(frozen=True)
class TrainConfig:
    """What to train on, and for how long."""

    renders: tuple[Path, ...]
    """Folders written by training.render_faces."""
    out: Path
    """Folder of the run."""
    faces: Path | None = None
    """Folder with images.zip and labels.csv; without it, renders alone."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    identities: tuple[str, ...] = ()
    """Avatars that get identity codes of their own."""
    batch: int = 64
    """Images a step, half of them real."""
    minutes: float = 40.0
    """Length of the schedule in minutes of training."""
    steps: int = 0
    """Length of the schedule in steps, in place of minutes."""
    rate: float = 1.5e-3
    """Peak learning rate of AdamW; linear warm-up over 3 %, then cosine to 0."""
    triplet_weight: float = 0.3
    seed: int = 0
    is_pretrained: bool = True
    """Start EfficientNet-Lite0 from ImageNet weights."""
    start: Path | None = None
    """Bundle to start from instead: its encoder and decoder."""

    def __post_init__(self) -> None:
        if self.batch < 4 or self.batch % 2:
            raise ValueError(f"batch is {self.batch}, expected an even number of at least 4")


class Faces:
    """Real and rendered crops with their rigs, drawn half and half."""

    def __init__(self, config: TrainConfig, generator: torch.Generator) -> None:
        self._generator = generator
        self._size = config.encoder.image_size
        self._mirror = torch.tensor(mirrored(ARKIT))
        parts = [(np.load(d / "crops.npy", mmap_mode="r"), np.load(d / "rigs.npy")) for d in config.renders]
        names = [n for d in config.renders for n in json.loads((d / "avatars.json").read_text())]
        known = ("generic", *config.identities)
        codes = torch.tensor([known.index(n) if n in known else 0 for n in names])
        self._rendered = ([p[0] for p in parts], torch.from_numpy(np.concatenate([p[1] for p in parts])), codes)
        self._real = None
        if config.faces is not None:
            rows = read_rows(config.faces / "labels.csv")
            crops = decode_faces(config.faces / "images.zip", rows, config.out.parent)
            self._real = ([crops], torch.from_numpy(rigs_of(rows)), torch.zeros(len(rows), dtype=torch.long))
        self.rendered_std = self._rendered[1].std(0)
        self.silver_std = torch.ones(len(ARKIT)) if self._real is None else self._real[1].std(0)
        self.queues: dict[str, Tensor] = {}
        """Shuffled indices still to come, per kind: part of a checkpoint."""
        self._identities = len(known)

    def batch(self, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Views ``(B, 1, S, S)``, rigs ``(B, 52)``, identity codes ``(B,)``, whether real ``(B,)``."""
        if self._real is None:
            return self._half(count, is_real=False)
        halves = [self._half(count // 2, is_real=True), self._half(count // 2, is_real=False)]
        views, rigs, codes, is_real = (torch.cat(column) for column in zip(*halves, strict=True))
        return views, rigs, codes, is_real

    def _half(self, count: int, *, is_real: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        source = self._real if is_real else self._rendered
        assert source is not None
        arrays, rigs, codes = source
        index = self._next(count, len(rigs), is_real)
        crops = torch.from_numpy(_gather(arrays, index.numpy()))[:, None].float() / 255
        mirror = torch.rand(count, generator=self._generator) < 0.5
        rig = rigs[index]
        rig = torch.where(mirror[:, None], rig[:, self._mirror], rig)
        if is_real:
            code = torch.randint(self._identities, (count,), generator=self._generator)
        else:
            code = codes[index]
        views = random_views(crops, self._size, mirror, self._generator)
        return views, rig, code, torch.full((count,), is_real)

    def _next(self, count: int, total: int, is_real: bool) -> Tensor:
        kind = "real" if is_real else "rendered"
        queue = self.queues.get(kind, torch.empty(0, dtype=torch.long))
        while len(queue) < count:
            queue = torch.cat([queue, torch.randperm(total, generator=self._generator)])
        self.queues[kind] = queue[count:].clone()
        return queue[:count]


def _gather(arrays: list[np.ndarray], index: np.ndarray) -> np.ndarray:
    starts = np.cumsum([0] + [len(a) for a in arrays])
    which = np.searchsorted(starts, index, side="right") - 1
    return np.stack([arrays[w][i - starts[w]] for w, i in zip(which, index, strict=True)])


class Trainee(nn.Module):
    """Encoder, decoder, and the map from rig weights to the scale of the silver labels."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config.encoder)
        if config.is_pretrained and config.start is None and config.encoder.backbone == "tf_efficientnet_lite0":
            load_imagenet(self.encoder.backbone)
        self.decoder = RigDecoder(DecoderConfig(config.encoder.feature_size, ARKIT, ("generic", *config.identities)))
        if config.start is not None:
            bundle = load_bundle(config.start)
            self.encoder.load_state_dict(bundle.encoder.state_dict())
            self.decoder.load_state_dict(bundle.decoder.state_dict())
        self.silver_scale = nn.Parameter(torch.zeros(len(ARKIT)))
        self.silver_shift = nn.Parameter(torch.zeros(len(ARKIT)))

    def forward(self, views: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        feature, embedding = self.encoder(views)
        return self.decoder.unbounded(feature, codes), embedding

    def to_silver(self, rigs: Tensor) -> Tensor:
        """Rig weights to the silver labels' scale."""
        return rigs * self.silver_scale.exp() + self.silver_shift

    def from_silver(self, labels: Tensor) -> Tensor:
        """Silver labels to the rig's scale."""
        return ((labels - self.silver_shift) / self.silver_scale.exp()).clamp(0, 1).detach()


class Objective:
    """The sum of the losses."""

    def __init__(self, faces: Faces, config: TrainConfig, generator: torch.Generator) -> None:
        self._config, self._generator = config, generator
        self._rendered_std = faces.rendered_std.clamp_min(0.08)
        self._silver_std = faces.silver_std.clamp_min(0.05)
        self._pair = torch.arange(len(ARKIT))
        for name in ONE_SIDED:
            left, right = ARKIT.index(name + "Left"), ARKIT.index(name + "Right")
            self._pair[left], self._pair[right] = right, left
        self._alive = torch.tensor([0.0 if n in DEAD else 0.1 if n in FAINT else 1.0 for n in ARKIT])

    def _mean_brows(self, rigs: Tensor) -> Tensor:
        return (rigs + rigs[:, self._pair]) / 2

    def __call__(self, model: Trainee, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        views, rigs, codes, is_real = batch
        predicted, embedding = model(views.contiguous(memory_format=torch.channels_last), codes)
        losses = {
            "rig": rig_loss(
                predicted[~is_real], rigs[~is_real], self._rendered_std, torch.ones(len(ARKIT)), is_exact=True
            )
        }
        common = rigs
        if is_real.any():
            silver = model.to_silver(predicted[is_real])
            losses["silver"] = rig_loss(
                self._mean_brows(silver), self._mean_brows(rigs[is_real]), self._silver_std, self._alive, is_exact=False
            )
            common = torch.where(is_real[:, None], model.from_silver(rigs), rigs) * self._alive
        triplets = mine_triplets(common, 16 * len(rigs), self._generator)
        losses["triplet"] = self._config.triplet_weight * triplet_loss(embedding, triplets)
        return losses


def _rate_at(progress: float) -> float:
    if progress < 0.03:
        return progress / 0.03
    return 0.5 * (1 + math.cos(math.pi * (progress - 0.03) / 0.97))


def _keep_config(config: TrainConfig) -> None:
    """Write config.json, or see that it is the one the run was begun with."""
    path, text = config.out / "config.json", json.dumps(asdict(config), default=str, indent=1)
    if path.exists() and path.read_text() != text:
        raise InputError(f"{config.out} holds a run with other settings: choose another --out, or repeat its settings.")
    path.write_text(text)


def _log(out: Path, step: int, spent: float, recent: list[dict[str, float]]) -> None:
    means = {name: round(float(np.mean([losses[name] for losses in recent])), 5) for name in recent[0]}
    line = {"step": step, "minutes": round(spent / 60, 2), **means}
    logger.info("%s", line)
    with (out / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def train(config: TrainConfig, *, on_step: Callable[[int], None] = lambda step: None) -> Path:
    """Train to the end of the schedule.

    Args:
        config: settings.
        on_step: called after each step with the number of steps done; if it raises, the state is saved first.

    Returns:
        The folder of the weights.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    _keep_config(config)
    faces = Faces(config, generator)
    model = Trainee(config).to(memory_format=torch.channels_last)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    objective = Objective(faces, config, generator)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.03}, {"params": plain, "weight_decay": 0.0}], lr=config.rate
    )
    checkpoint = config.out / "checkpoint.pt"
    step, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        faces.queues = state["queues"]
        step, spent = state["step"], state["spent"]

    def save() -> None:
        state = {
            "model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(), "queues": faces.queues, "step": step, "spent": spent,
        }  # fmt: skip
        with replacing(checkpoint) as temporary:
            torch.save(state, temporary)

    model.train()
    recent: list[dict[str, float]] = []
    saved = time.monotonic()
    try:
        while (progress := step / config.steps if config.steps else spent / (60 * config.minutes)) < 1:
            started = time.monotonic()
            for group in optimizer.param_groups:
                group["lr"] = config.rate * max(_rate_at(progress), 1e-3)
            losses = objective(model, faces.batch(config.batch))
            total = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(total):
                raise FloatingPointError(f"the loss is not finite at step {step}: {losses}")
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimizer.step()
            average.update_parameters(model)
            step, spent = step + 1, spent + time.monotonic() - started
            recent.append({name: value.item() for name, value in losses.items()})
            if step % LOG_EVERY == 0:
                _log(config.out, step, spent, recent)
                recent = []
            if time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
            on_step(step)
    finally:
        save()
    trained: Any = average.module
    return save_bundle(config.out / "weights", trained.encoder, trained.decoder, {"steps": step, "minutes": spent / 60})


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    train(tyro.cli(TrainConfig, description=__doc__))
