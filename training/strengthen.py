"""Give a bundle's rigs the strength that faces have: the last step before it is published.

    python -m training.strengthen --weights RUN/weights --faces FACES --renders HELD_OUT_RENDERS --out BUNDLE
    python -m training.strengthen --weights RUN/weights --renders /tmp/renders --out /tmp/bundle  # under a minute

A decoder trained on squared error answers the mean of what might be, so its answers spread less than the truth. Here
every channel gets a gain that brings the spread of its answers to that of the rigs of real faces, or where these are
not known to that of the truth on people nobody trained on (HELD_OUT_RENDERS, of ``training.render_faces``), at most
2.5; the less a channel knows, the less it is raised. The gain is folded into the decoder's last layer, so that nothing
that decodes has to know of it. Zones around 0 that stay 0 were tried and cost real faces more than they calm them: see
training/LOG.md.
"""

import json
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor

from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.networks import Bundle, RigDecoder, load_bundle, save_bundle, view_of_crops
from freeavatar.rig import ARKIT, mirrored
from training.data.images import crop_size, list_images, open_images
from training.data.labelled_faces import image_ids, read_rigs, read_rows

logger = logging.getLogger(__name__)

_GAINS = np.linspace(1, 2.5, 61)
_BLIND, _SEEING = 0.15, 0.45
"""Correlations with the truth below which a channel is not raised, and from which it may be raised in full."""
_STILL = 1e-3
"""Standard deviation below which a channel does nothing."""
_CHUNK = 64


@dataclass(frozen=True)
class StrengthenConfig:
    """What to strengthen."""

    weights: Path
    """The bundle."""
    renders: tuple[Path, ...]
    """Folders of training.render_faces, of people that were not trained on."""
    out: Path
    """Folder of the new bundle."""
    faces: Path | None = None
    """Folder with images.zip and labels.csv: channels that are known of real faces get the spread that they have there,
    which is what a bundle is for."""
    factor: float = 1.0
    """On every gain besides: smoothing, and the neutral face that is taken off, weaken what single pictures have."""
    most: int = 3000
    """Faces to take at most, spread evenly over the train split."""


def fit_gains(answers: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Gains that bring answers to the spread of the truth, the same on both sides of the face.

    Args:
        answers: unbounded, ``(N, 52)``.
        truth: in [0, 1], ``(N, 52)``.

    Returns:
        ``(52,)``, in the order of :data:`freeavatar.rig.ARKIT`, from 1 to 2.5.
    """
    gains = np.ones(len(ARKIT))
    for k, twin in enumerate(mirrored(ARKIT)):
        mine, true = answers[:, [k, twin]].ravel(), truth[:, [k, twin]].ravel()
        if true.std() < _STILL or mine.std() < _STILL:
            continue
        known = np.clip((np.corrcoef(mine, true)[0, 1] - _BLIND) / (_SEEING - _BLIND), 0, 1)
        spreads = np.clip(_GAINS[:, None] * mine, 0, 1).std(1)
        enough = _GAINS[min(int(np.searchsorted(spreads, true.std())), len(_GAINS) - 1)]
        gains[k] = 1 + known * (enough - 1)
    return gains


def fold(decoder: RigDecoder, gains: np.ndarray) -> None:
    """Multiply a decoder's answers by gains ``(52,)``, in place."""
    own = torch.from_numpy(gains[[ARKIT.index(name) for name in decoder.config.controls]]).float()
    with torch.no_grad():
        decoder.out.weight.mul_(own[:, None])
        decoder.skip.weight.mul_(own[:, None])
        decoder.out.bias.mul_(own)


@torch.inference_mode()
def answers_of(bundle: Bundle, crops: np.ndarray) -> np.ndarray:
    """Unbounded rigs ``(N, 52)`` of crops ``(N, S, S)`` uint8, played by the bundle's ARKit avatars in turn."""
    codes: list[Tensor] = [identity.code for identity in bundle.identities.values() if identity.is_arkit]
    known = torch.stack(codes) if codes else torch.zeros(1, bundle.decoder.config.code_size)
    found: list[Tensor] = []
    for start in range(0, len(crops), _CHUNK):
        images = torch.from_numpy(np.array(crops[start : start + _CHUNK]))[:, None].float() / 255
        feature, _ = bundle.encoder(view_of_crops(images, bundle.encoder.config.image_size))
        players = known[torch.arange(start, start + len(images)) % len(known)]
        found.append(bundle.decoder.unbounded(feature, players))
    answers = np.zeros((len(crops), len(ARKIT)), np.float32)
    answers[:, [ARKIT.index(name) for name in bundle.decoder.config.controls]] = torch.cat(found).numpy()
    return answers


def strengthen(config: StrengthenConfig) -> dict[str, float]:
    """Write the stronger bundle, and return the gain of each blendshape.

    Raises:
        InputError, WeightsError: the renders or the bundle are missing or damaged.
    """
    bundle = load_bundle(config.weights)
    if "gains" in bundle.info:
        raise InputError("{} was strengthened before: give the bundle that its training wrote.", config.weights)
    truth = np.concatenate([np.load(folder / "rigs.npy") for folder in config.renders])
    size = crop_size(bundle.encoder.config.image_size)
    pool = open_images(list_images(config.renders), cache=config.out.parent, size=size)
    gains = fit_gains(answers_of(bundle, pool.gather(np.arange(len(pool)))), truth)
    if config.faces is not None:
        rows, labels = read_rows(config.faces / "labels.csv"), read_rigs(config.faces / "labels.csv")
        step = -(-len(rows) // config.most)
        ids = image_ids(config.faces, rows[::step])
        real = open_images(ids, cache=config.out.parent, size=size)
        known = ~np.isnan(labels).any(0)
        gains[known] = fit_gains(answers_of(bundle, real.gather(np.arange(len(real)))), labels[::step])[known]
    gains *= config.factor
    fold(bundle.decoder, gains)
    named = {name: round(float(gain), 3) for name, gain in zip(ARKIT, gains, strict=True)}
    save_bundle(config.out, replace(bundle, info={**bundle.info, "gains": named}))
    return named


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        print(json.dumps(strengthen(tyro.cli(StrengthenConfig, description=__doc__)), indent=1))
    except FreeAvatarError as error:
        sys.exit(f"training.strengthen: {error}")
