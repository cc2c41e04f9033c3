"""Rigs of real faces, from what viewers say of some of them.

    python -m training.label_faces --faces FACES --weights BUNDLE

Nobody knows a real face's rig, but people see what it does. FACES holds images.zip, labels.csv and a table of
descriptions (``training.describe_faces``). A small network learns to read the descriptions in the bundle's feature, and
so every face gets one; the described ones mostly keep their own. ``training.data.descriptions`` says which rig looks as
strong, and the bundle's answer fills in what viewers do not describe. ``rigs.npy`` is written beside ``labels.csv``,
where :func:`training.data.labelled_faces.read_rigs` finds it. Faces of the val split are described for measuring only.
``training/descriptions.csv`` is the table that the shipped weights learned from.
"""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.files import replacing
from freeavatar.networks import Bundle, load_bundle
from freeavatar.rig import ARKIT, mirrored
from training.data.descriptions import (
    MOVEMENTS,
    NAMES,
    mirrored_strengths,
    read_descriptions,
    rigs_of_strengths,
    strengths_of_rigs,
)
from training.data.features import cached_features
from training.data.labelled_faces import DESCRIPTIONS, RIGS, image_ids, read_table
from training.measure.figures import correlation

_HIDDEN, _BATCH, _BLUR = 512, 128, 0.3
"""Of the reader; noise on the feature in units of its spread."""
_OWN = 0.75
"""Share of a face's own description in its strengths; the rest is read, as a second viewer would say."""
_FEWEST = 50
"""Described faces to learn from."""


@dataclass(frozen=True)
class LabelConfig:
    """Whom to label, by what."""

    faces: Path
    """Folder with images.zip, labels.csv and descriptions.csv."""
    weights: Path
    """Bundle whose feature the descriptions are read in."""
    readers: int = 3
    """Networks whose mean is taken."""
    epochs: int = 40
    cache: Path | None = None
    """Folder for decoded images and features; by default the one that ``faces`` lies in."""


class Reader(nn.Module):
    """Strengths from features."""

    middle: Tensor
    spread: Tensor

    def __init__(self, features: np.ndarray) -> None:
        """Set the scale by features ``(N, F)``."""
        super().__init__()
        self.register_buffer("middle", torch.from_numpy(features.mean(0)))
        self.register_buffer("spread", torch.from_numpy(features.std(0) + 1e-4))
        self.layers = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(features.shape[1], _HIDDEN), nn.SiLU(), nn.Dropout(0.4),
            nn.Linear(_HIDDEN, _HIDDEN), nn.SiLU(), nn.Dropout(0.4), nn.Linear(_HIDDEN, len(MOVEMENTS)),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        """Strengths ``(N, M)`` of features ``(N, F)``."""
        values = (features - self.middle) / self.spread
        return self.layers(values + _BLUR * torch.randn_like(values) if self.training else values)


def fit_reader(features: np.ndarray, strengths: np.ndarray, *, epochs: int, seed: int = 0) -> Reader:
    """Learn to read descriptions.

    Args:
        features: of faces and of their mirror images, ``(N, 2, F)`` float32.
        strengths: ``(N, M)``.
        epochs: times that every face is seen.
        seed: of the beginning and the order.
    """
    torch.manual_seed(seed)
    seen = torch.from_numpy(features.transpose(1, 0, 2).reshape(-1, features.shape[2]))
    true = torch.from_numpy(np.concatenate([strengths, mirrored_strengths(strengths)])).float()
    reader, deviation = Reader(seen.numpy()), true.std(0).clamp_min(0.1)
    steps = max(1, len(seen) // _BATCH)
    optimizer = torch.optim.AdamW(reader.parameters(), 1e-3, weight_decay=0.1)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=epochs * steps)
    for _ in range(epochs):
        order = torch.randperm(len(seen))
        for step in range(steps):
            some = order[step * _BATCH : (step + 1) * _BATCH]
            loss = ((reader(seen[some]) - true[some]) / deviation).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rates.step()
    return reader.eval()


@torch.inference_mode()
def read_strengths(readers: list[Reader], features: np.ndarray) -> np.ndarray:
    """Mean of what readers say of faces and of their mirror images, ``(N, M)``."""
    found = []
    for reader in readers:
        here, there = (reader(torch.from_numpy(features[:, side])).numpy() for side in range(2))
        found.append((here + mirrored_strengths(there)) / 2)
    return np.mean(found, axis=0)


@torch.inference_mode()
def answers(bundle: Bundle, features: np.ndarray) -> np.ndarray:
    """Rigs ``(N, 52)`` that a bundle gives its ARKit avatars, mean of face and mirror image, unbounded."""
    codes: list[Tensor] = [identity.code for identity in bundle.identities.values() if identity.is_arkit]
    code = torch.stack(codes).mean(0) if codes else torch.zeros(bundle.decoder.config.code_size)
    order = [bundle.decoder.config.controls.index(name) for name in ARKIT]
    here, there = (
        bundle.decoder.unbounded(torch.from_numpy(features[:, side]), code.expand(len(features), -1))[:, order].numpy()
        for side in range(2)
    )
    return (here + there[:, mirrored(ARKIT)]) / 2


def label_faces(config: LabelConfig) -> np.ndarray:
    """Write ``rigs.npy``, and return the rigs ``(N, 52)``.

    Raises:
        InputError, WeightsError: the folder lacks a file, too few faces are described, none is called neutral, or the
            bundle is damaged.
    """
    rows, table = read_table(config.faces / "labels.csv"), config.faces / DESCRIPTIONS
    described = read_descriptions(table)
    neutral = np.array([row.get("emotion") == "neutral" for row in rows])
    is_known = np.array([row["file"] in described for row in rows])
    is_train = np.array([row.get("split") == "train" for row in rows])
    taught = np.flatnonzero(is_known & is_train)
    if len(taught) < _FEWEST:
        raise InputError("{} describes {} faces of the train split: expected {} or more.", table, len(taught), _FEWEST)
    if not neutral.any():
        raise InputError("{} calls no face neutral: what is rest is not known.", config.faces / "labels.csv")
    bundle, cache = load_bundle(config.weights), config.cache or config.faces.parent
    found = cached_features(
        image_ids(config.faces, rows), bundle.encoder, cache=cache, device=torch.device("cpu")
    ).feature.astype(np.float32)
    own = np.array([described[rows[k]["file"]] for k in taught])
    readers = [fit_reader(found[taught], own, epochs=config.epochs, seed=seed) for seed in range(config.readers)]
    strengths, guess = read_strengths(readers, found), answers(bundle, found)
    held_out = np.flatnonzero(is_known & ~is_train)
    if len(held_out) >= _FEWEST:
        true = np.array([described[rows[k]["file"]] for k in held_out])
        for name, values in (("bundle", strengths_of_rigs(guess[held_out])), ("reader", strengths[held_out])):
            print(f"{name}: mean r with viewers {correlation(values, true)[true.std(0) > 0].mean():.3f}")
    up = NAMES.index("eyeLookUp")
    strengths[:, up] -= np.median(strengths[neutral, up])
    strengths[taught] = _OWN * own + (1 - _OWN) * strengths[taught]
    rigs = rigs_of_strengths(strengths, (guess - np.median(guess[neutral], axis=0)).clip(0, 1)).astype(np.float16)
    with replacing(config.faces / RIGS) as temporary, temporary.open("wb") as out:
        np.save(out, rigs)
    return rigs


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        print(len(label_faces(tyro.cli(LabelConfig, description=__doc__))), "faces")
    except FreeAvatarError as error:
        sys.exit(f"training.label_faces: {error}")
