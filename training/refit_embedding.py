"""Refit the embedding's map on features whose parts drop out: the last step of the paper's second stage.

    python -m training.refit_embedding --weights BUNDLE --faces FACES --out REFITTED

A backbone that was trained on emotion triplets knows those of its training faces by heart, and so the map from feature
to embedding leans on whatever names each of them. Here the feature stays as it is, and the map alone learns the
triplets of human emotion labels anew, from features with noise on them and half of their parts missing, kept to what
the bundle gave for the mean of a face and its mirror image. Seconds, once the features are there.
"""

import logging
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import nn
from torch.nn.functional import dropout, gelu, normalize

from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.networks import load_bundle, save_bundle
from training.data.drawing import draw_classes
from training.data.features import cached_features
from training.data.labelled_faces import image_ids, read_rows
from training.data.mixture import RAREST
from training.data.triplets import MARGINS
from training.engine.optimizer import rate_at
from training.objectives.losses import triplet_loss

_DROPOUT, _NOISE = 0.4, 0.5
"""Parts of a feature that drop out; noise on it, in units of its spread."""
_TRIPLETS = 1536
"""Triplets a step."""


@dataclass(frozen=True)
class RefitConfig:
    """What to refit, on whom."""

    weights: Path
    """The bundle."""
    faces: Path
    """Folder with images.zip and labels.csv, whose train split is used."""
    out: Path
    """Folder of the new bundle."""
    steps: int = 1500
    rate: float = 1e-3
    kept: float = 1.0
    """Weight of the distance to what the bundle gave before."""
    cache: Path | None = None
    """Folder for decoded images and features; by default the one that ``faces`` lies in."""


def refit(embed: nn.Linear, features: np.ndarray, emotions: list[str], config: RefitConfig) -> None:
    """Refit the map, in place.

    Args:
        embed: from the activated feature to the embedding before it is normalised.
        features: of faces and of their mirror images, ``(N, 2, F)`` float32.
        emotions: human label of each face, or empty.
        config: settings.

    Raises:
        InputError: fewer than two emotions have enough faces.
    """
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    seen = torch.from_numpy(features)
    spread = seen[:, 0].std(0)
    with torch.no_grad():
        here, there = (normalize(embed(gelu(seen[:, side])), dim=1) for side in range(2))
        before = normalize(here + there, dim=1)
    optimizer = torch.optim.AdamW(embed.requires_grad_(True).parameters(), config.rate, weight_decay=0.01)
    for step in range(config.steps):
        triplets = draw_classes(emotions, [""] * len(emotions), _TRIPLETS, rng, fewest=RAREST)
        rows, places = np.unique(triplets, return_inverse=True)
        views = seen[rows, torch.randint(2, (len(rows),))]
        views = views + _NOISE * spread * torch.randn_like(views)
        embedding = normalize(embed(dropout(gelu(views), _DROPOUT)), dim=1)
        loss = triplet_loss(embedding, torch.from_numpy(places.reshape(triplets.shape)), MARGINS[2])
        loss = loss + config.kept * (embedding - before[rows]).square().sum(1).mean()
        optimizer.param_groups[0]["lr"] = config.rate * rate_at(step / config.steps, 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def refit_embedding(config: RefitConfig) -> Path:
    """Write the refitted bundle, and return its folder.

    Raises:
        InputError, WeightsError: faces or bundle are missing or damaged, or too few faces have a label.
    """
    bundle, rows = load_bundle(config.weights), read_rows(config.faces / "labels.csv")
    emotions = [row.get("emotion") or "" for row in rows]
    known = Counter(name for name in emotions if name)
    if sum(count >= RAREST for count in known.values()) < 2:
        raise InputError("{} has fewer than two emotions of {} faces: label more.", config.faces / "labels.csv", RAREST)
    cache = config.cache or config.faces.parent
    found = cached_features(
        image_ids(config.faces, rows), bundle.encoder, cache=cache, device=torch.device("cpu")
    ).feature.astype(np.float32)
    refit(bundle.encoder.embed, found, emotions, config)
    return save_bundle(config.out, replace(bundle, info={**bundle.info, "refitted": True}))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        print(refit_embedding(tyro.cli(RefitConfig, description=__doc__)))
    except FreeAvatarError as error:
        sys.exit(f"training.refit_embedding: {error}")
