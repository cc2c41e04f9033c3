"""Train the neural renderer: the picture of an avatar from its rig, differentiable.

    python -m training.train_rig2img --portraits DIR --out RUN --minutes 40
    python -m training.train_rig2img --portraits /tmp/portraits --out /tmp/rig2img --steps 20 --batch 16  # a minute

DIR comes from ``training.render_portraits``. One network draws all avatars: it sees the neutral face of each, so
that it draws those it has not met as well. The loss is L1 on the picture plus ten times L1 on mouth and eyes.
The last ``--held-out`` avatars, and one picture in twenty of the others, are kept for measuring:
``RUN/fidelity.json`` says how near the network comes to the mesh. The run's folder, checkpoints and several
processes: ``training/engine/loop.py``.
"""

import json
import logging
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from freeavatar.avatars import builtin_avatars, load_avatar
from freeavatar.files import make_folder, replacing, write_png
from freeavatar.models import DEFAULT_WEIGHTS
from freeavatar.networks import (
    Encoder,
    Identity,
    NeuralRenderer,
    NeuralRendererConfig,
    load_bundle,
    load_renderer,
    save_renderer,
)
from training.data.portraits import PER_AVATAR, PortraitBatches, Portraits, read_portraits, to_images
from training.engine.batches import Batch
from training.engine.loop import enter, run
from training.engine.stage import EngineConfig, Stage, device_of
from training.measure.fidelity import fidelity
from training.objectives.animator import look
from training.objectives.losses import picture_loss

logger = logging.getLogger(__name__)

KEPT = 20
"""One picture in this many is not trained on."""
PICTURED = 12
"""Columns of the contact sheet."""
MEASURED = 400
"""Pictures of each kind that fidelity is measured on."""


@dataclass(frozen=True)
class Rig2ImgConfig:
    """What to train, on what, and for how long."""

    portraits: Path
    """Folder of training.render_portraits."""
    engine: EngineConfig
    renderer: NeuralRendererConfig = field(default_factory=NeuralRendererConfig)
    region_weight: float = 10.0
    """Weight of mouth and eyes beside the whole picture."""
    held_out: int = 8
    """Avatars at the end of the list that are not trained on; of the cast none, of the others half at most."""
    encoder: Path = DEFAULT_WEIGHTS
    """Bundle whose encoder looks at the pictures of the finished renderer."""
    favoured: float = 0.6
    """How much likelier an avatar is drawn for each time more pictures it has."""


class Draughtsman(nn.Module):
    """The neural renderer, and the identities of the avatars of the cast."""

    def __init__(self, config: NeuralRendererConfig, portraits: Portraits) -> None:
        super().__init__()
        self.renderer = NeuralRenderer(config)
        self.names = portraits.names
        self.identities = nn.ModuleDict()
        for name in sorted(set(portraits.names) & set(builtin_avatars())):
            avatar = load_avatar(name)
            identity = Identity(avatar.target_names, torch.from_numpy(avatar.drive), pose_size=config.pose_size)
            # ARKit's blendshapes are poses as they are; what drives the other controls is learned with the decoder.
            identity.requires_grad_(False)
            identity.pose.requires_grad_(not identity.is_arkit)
            self.identities[name] = identity

    def forward(self, weights: Tensor, avatars: list[int], neutral: Tensor) -> Tensor:
        """Draw faces.

        Args:
            weights: of each one's own controls, padded, ``(B, 52)``.
            avatars: numbers of the A avatars, each of which has B / A rows side by side.
            neutral: their neutral faces, ``(A, 3, S, S)``.

        Returns:
            ``(B, 3, S, S)``.
        """
        times = len(weights) // len(avatars)
        groups = zip(avatars, weights.split(times), strict=True)
        poses = torch.cat([self._poses(self.names[avatar], rows) for avatar, rows in groups])
        which = torch.arange(len(avatars), device=weights.device).repeat_interleave(times)
        return self.renderer(poses, self.renderer.identity(neutral).rows(which))

    def _poses(self, name: str, weights: Tensor) -> Tensor:
        if name in self.identities:
            return self.identities[name].poses(weights)  # type: ignore[operator]
        return nn.functional.pad(weights, (0, self.renderer.config.pose_size - weights.shape[1]))


def split_rows(portraits: Portraits, held_out: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Numbers of the pictures to train on, and of those kept: held-out ``rigs`` and ``identities``."""
    number = np.arange(len(portraits.avatars))
    unnamed = [k for k, name in enumerate(portraits.names) if name not in builtin_avatars()]
    strange = np.isin(portraits.avatars, unnamed[len(unnamed) - min(held_out, len(unnamed) // 2) :])
    kept = number % KEPT == 0
    return number[~strange & ~kept], {"rigs": number[~strange & kept], "identities": number[strange]}


def draw_rows(model: Any, portraits: Portraits, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """Pictures ``(N, S, S, 3)`` uint8 that the network makes of rows."""
    drawn = []
    for start in range(0, len(rows), 32):
        part = rows[start : start + 32]
        owners = portraits.avatars[part]
        weights, neutral = torch.from_numpy(portraits.weights[part]), to_images(portraits.neutral[owners])
        with torch.no_grad():
            found = model(weights.to(device), owners.tolist(), neutral.to(device))
        drawn.append((found.permute(0, 2, 3, 1) * 255).round().clamp(0, 255).byte().cpu().numpy())
    return np.concatenate(drawn)


def contact_sheet(model: Any, portraits: Portraits, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """The mesh above the network, one column a row of ``rows``, HWC uint8."""
    drawn = draw_rows(model, portraits, rows, device)
    columns = [np.concatenate([portraits.pictures[row], face]) for row, face in zip(rows, drawn, strict=True)]
    return np.concatenate(columns, axis=1)


def train(config: Rig2ImgConfig, **more: Any) -> Path:
    """Train to the end of the schedule and return the folder of the weights.

    Raises:
        InputError: there are no portraits, or the batch does not suit them.
        FloatingPointError: the loss is not finite.
    """
    torch.manual_seed(config.engine.seed)
    device, portraits = device_of(config.engine), read_portraits(config.portraits)
    rows, kept = split_rows(portraits, config.held_out)
    batches = PortraitBatches(
        portraits, rows, batch=config.engine.batch, seed=config.engine.seed, favoured=config.favoured
    )
    model = Draughtsman(config.renderer, portraits).to(device).to(memory_format=torch.channels_last)

    def loss(model: Any, batch: Batch) -> dict[str, Tensor]:
        neutral = batch["neutral"].contiguous(memory_format=torch.channels_last)
        found = model(batch["weights"], batch["avatars"].tolist(), neutral)
        return picture_loss(
            found, batch["pictures"], batch["regions"].repeat_interleave(PER_AVATAR, 0), config.region_weight
        )

    def report(model: Any, step: int) -> dict[str, float]:
        sheet = contact_sheet(model, portraits, _spread(kept["rigs"], PICTURED), device)
        write_png(sheet, make_folder(config.engine.out / "pictures") / f"step_{step:07d}.png")
        return {}

    stage = Stage(
        model=model, draw=batches.draw, names=batches.names, loss=loss,
        export=partial(_export, config), total=len(rows), report=report,
    )  # fmt: skip
    run(stage, config.engine, config, **more)
    if int(os.environ.get("RANK", 0)) == 0:
        _measure(config, portraits, kept, device)
    return config.engine.out / "weights"


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def _export(config: Rig2ImgConfig, model: Any, info: dict[str, Any]) -> None:
    save_renderer(config.engine.out / "weights", model.renderer, dict(model.identities.items()), info)


def _apart(encoder: Encoder, found: np.ndarray, true: np.ndarray, device: torch.device) -> float:
    """One minus the mean cosine between the embeddings of pictures ``(N, S, S, 3)`` uint8."""
    cosines = []
    for start in range(0, len(found), 32):
        with torch.no_grad():
            a, b = (look(encoder, to_images(p[start : start + 32]).to(device))[1] for p in (found, true))
        cosines.append((a * b).sum(1))
    return 1 - float(torch.cat(cosines).mean())


def _measure(config: Rig2ImgConfig, portraits: Portraits, kept: dict[str, np.ndarray], device: torch.device) -> None:
    """Write fidelity.json for the weights of the run."""
    weights = config.engine.out / "weights"
    model = Draughtsman(config.renderer, portraits)
    model.renderer, identities = load_renderer(weights, device=device)
    model.identities = nn.ModuleDict(identities)
    encoder = load_bundle(config.encoder, device=device).encoder
    figures: dict[str, dict[str, float]] = {}
    for name, rows in kept.items():
        if len(rows):
            rows = _spread(rows, MEASURED)
            drawn, regions = draw_rows(model, portraits, rows, device), portraits.regions[portraits.avatars[rows]]
            true = portraits.pictures[rows]
            figures[name] = fidelity(drawn, true, regions) | {"embedding": _apart(encoder, drawn, true, device)}
            logger.info("%s: %s", name, figures[name])
    with replacing(config.engine.out / "fidelity.json") as temporary:
        temporary.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    enter(lambda: train(tyro.cli(Rig2ImgConfig, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))))
