"""Rendered faces to measure with: identities no training saw, known rigs, kept once made.

Three sets: the rigs of labelled faces re-enacted; natural rigs on several avatars each; one-sided
gestures with their opposite and with both sides.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeavatar.errors import InputError
from freeavatar.files import replacing
from freeavatar.rig import ARKIT, mirrored
from training.data.labelled_faces import read_rigs
from training.data.rigs import INDEX, RigSampler
from training.renders.faces import RenderConfig, render_rigs

logger = logging.getLogger(__name__)

GESTURES = {
    "smile": {"mouthSmileLeft": 1.0, "mouthDimpleLeft": 0.3, "cheekSquintLeft": 0.3},
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.3},
    "brow": {"browOuterUpLeft": 1.0},
}
"""What the left side does; the other side rests."""
SIDES = ("left", "right", "both")
STRENGTH = (0.7, 1.0)
"""Range of a gesture's strength."""
BASE = 0.3
"""Weight of the natural expression a gesture is made on."""


@dataclass(frozen=True)
class RenderedSet:
    """Crops with what is known of them."""

    crops: np.ndarray
    """Luma, ``(N, 144, 144)`` uint8."""
    rigs: np.ndarray
    """``(N, 52)``."""
    avatars: np.ndarray
    """Name of each crop's avatar, ``(N,)``."""
    numbers: np.ndarray
    """``(N,)``: the row of the labelled face, the number of the rig, or gesture x 3 + side."""


def gesture_rigs(base: np.ndarray, gesture: str, strength: float) -> np.ndarray:
    """A gesture on the left, on the right and on both sides of one base, ``(3, 52)``.

    Args:
        base: symmetric rig ``(52,)`` in [0, 1].
        gesture: of :data:`GESTURES`.
        strength: in [0, 1].
    """
    left = np.zeros(len(ARKIT), np.float32)
    for name, amount in GESTURES[gesture].items():
        left[INDEX[name]] = amount * strength
    right = left[mirrored(ARKIT)]
    rest = np.where(left + right > 0, 0, base)
    return np.stack([rest + left, rest + right, rest + left + right])


class HeldOut:
    """The sets, rendered when first asked for into a folder of their own."""

    def __init__(self, folder: Path, avatars: Path, *, limit: int | None = None, seed: int = 0) -> None:
        self._folder, self._seed = folder, seed
        self._avatars = sorted(avatars.glob("*.glb"))[:limit]
        if len(self._avatars) < 2:
            raise InputError(
                "{} holds {} .glb files: give a folder of held-out identities.", avatars, len(self._avatars)
            )

    def acted(self, rigs: np.ndarray, rows: np.ndarray) -> RenderedSet:
        """Rigs ``(N, 52)`` of labelled faces ``rows``, each on one avatar."""
        return self._rendered("acted", rigs, rows)

    def recast(self, labels: Path | None, *, rigs: int, repeats: int) -> RenderedSet:
        """Natural rigs, each on ``repeats`` avatars."""
        sampler = RigSampler(_seen(labels), is_natural=True)
        rng = np.random.default_rng([self._seed, 1])
        drawn = np.stack([sampler.draw(rng) for _ in range(rigs)])
        numbers = np.concatenate([np.arange(rigs)] + [rng.permutation(rigs) for _ in range(repeats - 1)])
        return self._rendered("recast", drawn[numbers], numbers)

    def one_sided(self, labels: Path | None, *, takes: int) -> RenderedSet:
        """Every gesture on the left, the right and both sides, ``takes`` times."""
        sampler = RigSampler(_seen(labels), is_natural=True)
        rng = np.random.default_rng([self._seed, 2])
        rigs = []
        for _ in range(takes):
            for gesture in GESTURES:
                base = sampler.draw(rng) * BASE
                rigs.append(gesture_rigs((base + base[mirrored(ARKIT)]) / 2, gesture, rng.uniform(*STRENGTH)))
        numbers = np.tile(np.arange(3 * len(GESTURES)), takes)
        return self._rendered("one_sided", np.concatenate(rigs), numbers, together=3)

    def _rendered(self, name: str, rigs: np.ndarray, numbers: np.ndarray, *, together: int = 1) -> RenderedSet:
        """A set, ``together`` neighbours of which share an avatar."""
        cast = " ".join(f"{path.stem} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in self._avatars)
        parts = (rigs.tobytes(), numbers.tobytes(), f"{self._seed} {cast}".encode())
        folder = self._folder / f"{name}_{hashlib.sha256(b''.join(parts)).hexdigest()[:8]}"
        done = folder / "numbers.npy"
        if not done.exists():
            self._render(folder, rigs, together)
            with replacing(done) as temporary, temporary.open("wb") as file:
                np.save(file, numbers)
        names = np.array(json.loads((folder / "avatars.json").read_text()))
        crops = np.load(folder / "crops.npy", mmap_mode="r")
        return RenderedSet(crops, np.load(folder / "rigs.npy"), names, np.load(done))

    def _render(self, folder: Path, rigs: np.ndarray, together: int) -> None:
        logger.info("rendering %d faces into %s", len(rigs), folder)
        groups = len(rigs) // together
        turns = [self._avatars[k // together * len(self._avatars) // groups] for k in range(len(rigs))]
        config = RenderConfig(turns[0].parent, folder, is_natural=True)
        render_rigs(turns, rigs.__getitem__, config, np.random.default_rng([self._seed, 3]))


def _seen(labels: Path | None) -> np.ndarray:
    return np.zeros((1, len(ARKIT)), np.float32) if labels is None else np.nan_to_num(read_rigs(labels))
