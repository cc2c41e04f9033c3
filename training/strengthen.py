"""Give a bundle's rigs the strength that faces have: the last step before it is published.

    python -m training.strengthen --weights RUN/weights --renders HELD_OUT_RENDERS --out BUNDLE
    python -m training.strengthen --weights RUN/weights --renders /tmp/renders --out /tmp/bundle  # under a minute

A decoder trained on squared error answers the mean of what might be, so its answers spread less than the truth. Here
every channel gets a response, ``gain * (answer - threshold)``, that brings the distribution of its answers to that of
the truth on people nobody trained on (HELD_OUT_RENDERS, of ``training.render_faces``): what is below the threshold is
noise as often as not, and what is above is as strong as it was. The less a channel knows, the less it is raised. The
response is folded into the decoder's last layer, so that nothing that decodes has to know of it.
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
from freeavatar.models import Bundle, RigDecoder, load_bundle, save_bundle, view_of_crops
from freeavatar.rig import ARKIT, mirrored
from training.data.images import crop_size, list_images, open_images

logger = logging.getLogger(__name__)

_LEVELS = np.linspace(0.005, 0.995, 100)
"""Quantiles at which two distributions are compared."""
_THRESHOLDS = np.linspace(-0.05, 0.25, 31)
_GAINS = np.linspace(0.8, 2.5, 35)
_BLIND, _SEEING = 0.15, 0.45
"""Correlations with the truth below which a channel is not raised, and from which it may be raised in full."""
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


@dataclass(frozen=True)
class Response:
    """Of every channel, in the order of :data:`freeavatar.rig.ARKIT`."""

    gain: np.ndarray
    """``(52,)``."""
    threshold: np.ndarray
    """``(52,)``."""


def fit_response(answers: np.ndarray, truth: np.ndarray) -> Response:
    """The response that brings answers to the distribution of the truth, the same on both sides of the face.

    Args:
        answers: unbounded, ``(N, 52)``.
        truth: in [0, 1], ``(N, 52)``.
    """
    twins = mirrored(ARKIT)
    gain, threshold = np.ones(len(ARKIT)), np.zeros(len(ARKIT))
    for k, twin in enumerate(twins):
        if twin < k:
            gain[k], threshold[k] = gain[twin], threshold[twin]
            continue
        mine, true = answers[:, [k, twin]].ravel(), truth[:, [k, twin]].ravel()
        gain[k], threshold[k] = _fitted(mine, true)
    return Response(gain, threshold)


def _fitted(answers: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    if truth.std() < 1e-3 or answers.std() < 1e-6:
        return 1.0, 0.0
    known = np.clip((np.corrcoef(answers, truth)[0, 1] - _BLIND) / (_SEEING - _BLIND), 0, 1)
    mine, true = np.quantile(answers, _LEVELS), np.quantile(truth, _LEVELS)
    played = np.clip(_GAINS[:, None, None] * (mine - _THRESHOLDS[:, None]), 0, 1)
    row, column = np.unravel_index(((played - true) ** 2).mean(-1).argmin(), played.shape[:2])
    return float(1 + known * (_GAINS[row] - 1)), float(known * _THRESHOLDS[column])


def fold(decoder: RigDecoder, response: Response) -> None:
    """Make a decoder answer as the response says, in place."""
    order = [ARKIT.index(name) for name in decoder.config.controls]
    gain = torch.from_numpy(response.gain[order]).float()
    threshold = torch.from_numpy(response.threshold[order]).float()
    with torch.no_grad():
        decoder.out.weight.mul_(gain[:, None])
        decoder.skip.weight.mul_(gain[:, None])
        decoder.out.bias.sub_(threshold).mul_(gain)


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


def strengthen(config: StrengthenConfig) -> Response:
    """Write the stronger bundle.

    Raises:
        InputError, WeightsError: the renders or the bundle are missing or damaged.
    """
    bundle = load_bundle(config.weights)
    if "response" in bundle.info:
        raise InputError("{} was strengthened before: give the bundle that its training wrote.", config.weights)
    truth = np.concatenate([np.load(folder / "rigs.npy") for folder in config.renders])
    size = crop_size(bundle.encoder.config.image_size)
    pool = open_images(list_images(config.renders), cache=config.out.parent, size=size)
    response = fit_response(answers_of(bundle, pool.gather(np.arange(len(pool)))), truth)
    fold(bundle.decoder, response)
    described = {name: [round(float(g), 3), round(float(t), 3)]
                 for name, g, t in zip(ARKIT, response.gain, response.threshold, strict=True)}  # fmt: skip
    save_bundle(config.out, replace(bundle, info={**bundle.info, "response": described}))
    return response


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        made = strengthen(tyro.cli(StrengthenConfig, description=__doc__))
        print(json.dumps({n: round(float(g), 2) for n, g in zip(ARKIT, made.gain, strict=True)}))
    except FreeAvatarError as error:
        sys.exit(f"training.strengthen: {error}")
