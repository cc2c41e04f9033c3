"""Portraits as the neural renderer learns from them: pictures, controls, neutral faces and regions."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from freeavatar.errors import InputError
from training.engine.batches import Batch, generator_of

PER_AVATAR = 4
"""Pictures of one avatar side by side in a batch: it is looked at once for all of them."""


@dataclass(frozen=True)
class Portraits:
    """What training.render_portraits wrote."""

    pictures: np.ndarray
    """``(N, S, S, 3)`` uint8, on disk."""
    weights: np.ndarray
    """Of the avatar's own controls, padded, ``(N, 52)`` float32."""
    avatars: np.ndarray
    """Index of the avatar of each, ``(N,)``."""
    neutral: np.ndarray
    """``(A, S, S, 3)`` uint8."""
    regions: np.ndarray
    """Mouth and eyes, ``(A, S, S)`` bool."""
    names: tuple[str, ...]
    """Of the avatars."""


def read_portraits(folder: Path) -> Portraits:
    """Open a folder of training.render_portraits.

    Raises:
        InputError: it holds none.
    """
    if not (folder / "avatars.json").is_file():
        raise InputError("{} holds no portraits: render them with training.render_portraits --out {}.", folder, folder)
    return Portraits(
        np.load(folder / "pictures.npy", mmap_mode="r"), np.load(folder / "weights.npy").astype(np.float32),
        np.load(folder / "avatars.npy"), np.load(folder / "neutral.npy"), np.load(folder / "regions.npy"),
        tuple(json.loads((folder / "avatars.json").read_text())),
    )  # fmt: skip


def to_images(pictures: np.ndarray) -> Tensor:
    """``(B, 3, H, W)`` float32 in [0, 1] of ``(B, H, W, 3)`` uint8."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float().div_(255)


class PortraitBatches:
    """Batches of a few avatars with :data:`PER_AVATAR` pictures each."""

    def __init__(self, portraits: Portraits, rows: np.ndarray, *, batch: int, seed: int, favoured: float) -> None:
        """Draw from some of the pictures.

        Args:
            portraits: all of them.
            rows: numbers of the pictures to draw from.
            batch: pictures of a batch, a multiple of :data:`PER_AVATAR`.
            seed: of the draws.
            favoured: how much likelier an avatar is drawn for each time more pictures it has, in [0, 1].

        Raises:
            InputError: a batch holds no avatar.
        """
        if batch % PER_AVATAR:
            raise InputError("a batch of {} cannot be shared out: give a multiple of {}.", batch, PER_AVATAR)
        self._portraits, self._count, self._seed = portraits, batch // PER_AVATAR, seed
        self._own = {int(a): rows[portraits.avatars[rows] == a] for a in np.unique(portraits.avatars[rows])}
        share = np.array([float(len(own)) ** favoured for own in self._own.values()])
        self._share = share / share.sum()

    def rows(self, step: int, part: int) -> np.ndarray:
        """Numbers of the pictures of a batch, those of one avatar side by side, ``(B,)``."""
        rng = np.random.default_rng((self._seed, 3, step, part))
        drawn = rng.choice(list(self._own), self._count, p=self._share)
        return np.concatenate([rng.choice(self._own[int(avatar)], PER_AVATAR) for avatar in drawn])

    def names(self, step: int, part: int) -> list[str]:
        """Avatar and number of each."""
        portraits = self._portraits
        return [f"{portraits.names[portraits.avatars[row]]}:{row}" for row in self.rows(step, part)]

    def draw(self, step: int, part: int) -> Batch:
        """``pictures`` (B, 3, S, S), ``weights`` (B, 52), and of each avatar, B / 4, ``avatars``, ``neutral`` and
        ``regions`` (., 1, S, S); the colours of an avatar vary from batch to batch."""
        rows = self.rows(step, part)
        portraits, avatars = self._portraits, self._portraits.avatars[rows[::PER_AVATAR]]
        generator = generator_of(self._seed, 4, step, part)
        tint = 1 + 0.15 * torch.randn(len(avatars), 3, 1, 1, generator=generator).clamp(-2, 2)
        return {
            "pictures": (to_images(portraits.pictures[rows]) * tint.repeat_interleave(PER_AVATAR, 0)).clamp_(0, 1),
            "weights": torch.from_numpy(portraits.weights[rows]),
            "avatars": torch.from_numpy(avatars.astype(np.int64)),
            "neutral": (to_images(portraits.neutral[avatars]) * tint).clamp_(0, 1),
            "regions": torch.from_numpy(portraits.regions[avatars])[:, None].float(),
        }
