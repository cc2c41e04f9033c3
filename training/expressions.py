"""Batches for the rig decoder: features of real faces and of renders, and who is to play them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from freeavatar.errors import InputError
from freeavatar.models import Encoder
from freeavatar.rig import ARKIT, mirrored
from training.batches import Batch
from training.faces_data import read_rows, rigs_of
from training.features import cached_features
from training.images import list_images
from training.portraits import Portraits
from training.triplets import SEPARATOR


@dataclass(frozen=True)
class ExpressionConfig:
    """What the decoder learns from."""

    faces: Path | None = None
    """Folder with images.zip and labels.csv, of which the train split is used."""
    renders: tuple[Path, ...] = ()
    """Folders of training.render_faces."""
    avatars: tuple[str, ...] = ()
    """Avatars to be driven; default the whole cast of the portraits that has a name of its own."""
    cast_share: float = 0.7
    """How often an expression is played by one of them, and not by another avatar of the portraits."""

    def __post_init__(self) -> None:
        if self.faces is None or not self.renders:
            raise ValueError("there is nothing to learn from: give faces and renders")


class Expressions:
    """Batches by step and part; half real faces, half renders."""

    def __init__(
        self, config: ExpressionConfig, encoder: Encoder, portraits: Portraits, *,
        batch: int, cache: Path, seed: int, device: torch.device, named: Sequence[str],
    ) -> None:  # fmt: skip
        """Encode what no cache holds yet.

        Args:
            config: what to learn from.
            encoder: whose features.
            portraits: of all avatars.
            batch: rows of a batch.
            cache: folder for images and features.
            seed: of the draws.
            device: of the encoder.
            named: avatars to be driven.

        Raises:
            InputError: a source is missing, or an avatar has no portrait.
        """
        assert config.faces is not None
        strange = sorted(set(named) - set(portraits.names))
        if strange:
            raise InputError(f"there is no portrait of {', '.join(strange)}: render it with training.render_portraits.")
        rows = read_rows(config.faces / "labels.csv")
        ids = [f"{config.faces / 'images.zip'}{SEPARATOR}{row['file']}" for row in rows]
        self._real = cached_features(ids, encoder, cache=cache, device=device)
        self.labels = torch.from_numpy(rigs_of(rows))
        self.renders = list_images(config.renders)
        self._rendered = cached_features(self.renders, encoder, cache=cache, device=device)
        self.rigs = torch.from_numpy(np.concatenate([np.load(folder / "rigs.npy") for folder in config.renders]))
        if len(self.rigs) != len(self._rendered):
            raise InputError(f"{', '.join(map(str, config.renders))}: crops and rigs differ in number; render again.")
        self._ids, self._half, self._seed = ids, batch // 2, seed
        self._cast = np.array([portraits.names.index(name) for name in named])
        self._share, self._everybody = config.cast_share, len(portraits.names)
        self._mirror = torch.tensor(mirrored(ARKIT))

    @property
    def total(self) -> int:
        """Images of all sources."""
        return len(self._real) + len(self._rendered)

    def deviations(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Standard deviation of each channel, ``(52,)``: of the renders' rigs, and of the silver labels."""
        return self.rigs.std(0).to(device), self.labels.std(0).to(device)

    def _index(self, step: int, part: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self._seed, 6, step, part))
        return rng, rng.integers(len(self._real), size=self._half), rng.integers(len(self._rendered), size=self._half)

    def names(self, step: int, part: int) -> list[str]:
        """Ids of the images of a batch."""
        _, real, rendered = self._index(step, part)
        return [self._ids[k] for k in real] + [self.renders[k] for k in rendered]

    def draw(self, step: int, part: int) -> Batch:
        """A batch of R real faces and R renders.

        Returns:
            ``feature`` (R, F), ``mirrored`` (R, F; of the mirror image), ``embedding`` (R, 16), ``labels`` (R, 52) and
            ``avatars`` (R,) of real faces; ``rendered`` (R, F), ``rigs`` (R, 52) and ``players`` (R,) of renders.
        """
        rng, real, rendered = self._index(step, part)
        side, shown = rng.integers(2, size=(2, self._half))
        feature, embedding = (
            torch.from_numpy(rows[real, side]).float() for rows in (self._real.feature, self._real.embedding)
        )
        return {
            "feature": feature, "embedding": embedding,
            "mirrored": torch.from_numpy(self._real.feature[real, 1 - side]).float(),
            "labels": self._turned(self.labels[real], side),
            "rendered": torch.from_numpy(self._rendered.feature[rendered, shown]).float(),
            "rigs": self._turned(self.rigs[rendered], shown),
            "avatars": self._players(rng), "players": self._players(rng),
        }  # fmt: skip

    def _turned(self, rigs: Tensor, side: np.ndarray) -> Tensor:
        return torch.where(torch.from_numpy(side == 1)[:, None], rigs[:, self._mirror], rigs)

    def _players(self, rng: np.random.Generator) -> Tensor:
        """Avatars of half a batch."""
        cast, others = rng.choice(self._cast, self._half), rng.integers(self._everybody, size=self._half)
        return torch.from_numpy(np.where(rng.uniform(size=self._half) < self._share, cast, others).astype(np.int64))
