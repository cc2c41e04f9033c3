"""Batches for the rig decoder: features of real faces and of renders, and who is to play them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from freeavatar.errors import InputError
from freeavatar.networks import Encoder
from freeavatar.rig import ARKIT, mirrored
from training.data.emotions import PROTOTYPES
from training.data.features import Features, cached_features, joined
from training.data.images import list_images
from training.data.labelled_faces import image_ids, read_rigs, read_rows
from training.data.portraits import Portraits
from training.engine.batches import Batch


@dataclass(frozen=True)
class ExpressionConfig:
    """What the decoder learns from."""

    faces: Path | None = None
    """Folder with images.zip and labels.csv, of which the train split is used."""
    renders: tuple[Path, ...] = ()
    """Folders of training.render_faces."""
    images: tuple[Path, ...] = ()
    """Folders of faces without labels: without ``faces``, they and the renders are what is played."""
    most: int = 0
    """Faces to take at most, spread evenly; 0 takes all."""
    avatars: tuple[str, ...] = ()
    """Avatars to be driven; default the whole cast of the portraits that has a name of its own."""
    cast_share: float = 0.7
    """How often an expression is played by one of them, and not by another avatar of the portraits."""

    def __post_init__(self) -> None:
        if not self.renders:
            raise ValueError("there is nothing to learn rigs from: give renders")
        if self.faces is not None and self.images:
            raise ValueError("faces are looked at with labels or without: give either faces or images")


class Expressions:
    """Batches by step and part; half faces to be played, half renders with their rigs."""

    def __init__(
        self, config: ExpressionConfig, encoder: Encoder, portraits: Portraits, *,
        batch: int, cache: Path, seed: int, device: torch.device, named: Sequence[str], teacher: Encoder | None = None,
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
            teacher: another encoder, whose features of the same views are wanted as well.

        Raises:
            InputError: a source is missing, or an avatar has no portrait.
        """
        strange = sorted(set(named) - set(portraits.names))
        if strange:
            raise InputError(
                "there is no portrait of {}: render it with training.render_portraits.", ", ".join(strange)
            )
        self.renders = list_images(config.renders)
        faces, self.labels, self.emotions = _faces_of(config)
        self._ids, self._first = faces + self.renders, len(faces)
        self._played = len(faces) if config.faces else len(self._ids)

        def encode(one: Encoder) -> Features:
            sources = [ids for ids in (faces, self.renders) if ids]
            return joined([cached_features(ids, one, cache=cache, device=device) for ids in sources])

        self._seen, self._taught = encode(encoder), encode(teacher) if teacher else None
        self.rigs = torch.from_numpy(np.concatenate([np.load(folder / "rigs.npy") for folder in config.renders]))
        if len(self.rigs) != len(self.renders):
            raise InputError("{}: crops and rigs differ in number; render again.", ", ".join(map(str, config.renders)))
        self._half, self._seed = batch // 2, seed
        self._cast = np.array([portraits.names.index(name) for name in named])
        self._share, self._everybody = config.cast_share, len(portraits.names)
        self._mirror = torch.tensor(mirrored(ARKIT))

    @property
    def total(self) -> int:
        """Images of all sources."""
        return len(self._ids)

    def deviations(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Standard deviation of each channel, ``(52,)``: of the rigs of renders, and of those of faces, if any."""
        labels = self.rigs if self.labels is None else self.labels
        return self.rigs.std(0).to(device), labels.std(0).nan_to_num(1).to(device)

    def _index(self, step: int, part: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self._seed, 6, step, part))
        return rng, rng.integers(self._played, size=self._half), rng.integers(len(self.renders), size=self._half)

    def names(self, step: int, part: int) -> list[str]:
        """Ids of the images of a batch."""
        _, real, rendered = self._index(step, part)
        return [self._ids[k] for k in real] + [self.renders[k] for k in rendered]

    def draw(self, step: int, part: int) -> Batch:
        """A batch of R faces and R renders.

        Returns:
            ``feature`` (R, F), ``mirrored`` (R, F; of the mirror image), ``embedding`` (R, 16), ``avatars`` (R,) and,
            if there are any, ``labels`` (R, 52), rigs of faces, NaN where nothing is known, and their
            ``emotions`` (R,), places in :data:`training.data.emotions.PROTOTYPES` or -1; ``rendered`` (R, F), ``rigs``
            (R, 52) and ``players`` (R,) of renders; with a teacher, its features of both, ``taught`` (2R, F).
        """
        rng, real, rendered = self._index(step, part)
        side, shown = rng.integers(2, size=(2, self._half))
        seen, shots = self._seen, rendered + self._first
        batch = {
            "feature": _rows(seen.feature, real, side), "embedding": _rows(seen.embedding, real, side),
            "mirrored": _rows(seen.feature, real, 1 - side),
            "rendered": _rows(seen.feature, shots, shown), "rigs": self._turned(self.rigs[rendered], shown),
            "avatars": self._players(rng), "players": self._players(rng),
        }  # fmt: skip
        if self.labels is not None:
            batch["labels"] = self._turned(self.labels[real], side)
            batch["emotions"] = self.emotions[real]
        if self._taught is not None:
            rows, views = np.concatenate([real, shots]), np.concatenate([side, shown])
            batch["taught"] = _rows(self._taught.feature, rows, views)
        return batch

    def _turned(self, rigs: Tensor, side: np.ndarray) -> Tensor:
        return torch.where(torch.from_numpy(side == 1)[:, None], rigs[:, self._mirror], rigs)

    def _players(self, rng: np.random.Generator) -> Tensor:
        """Avatars of half a batch."""
        cast, others = rng.choice(self._cast, self._half), rng.integers(self._everybody, size=self._half)
        return torch.from_numpy(np.where(rng.uniform(size=self._half) < self._share, cast, others).astype(np.int64))


def _rows(values: np.ndarray, rows: np.ndarray, views: np.ndarray) -> Tensor:
    return torch.from_numpy(values[rows, views]).float()


def _faces_of(config: ExpressionConfig) -> tuple[list[str], Tensor | None, Tensor]:
    """Ids of faces, and their rigs ``(N, 52)`` and emotions ``(N,)``, if there are any."""
    if config.faces is None:
        ids = list_images(config.images)
        return ids[:: _stride(len(ids), config.most)], None, torch.empty(0, dtype=torch.long)
    table = config.faces / "labels.csv"
    rows = read_rows(table)
    stride, known = _stride(len(rows), config.most), {name: k for k, name in enumerate(PROTOTYPES)}
    ids = image_ids(config.faces, rows)
    labels = torch.from_numpy(read_rigs(table))
    emotions = torch.tensor([known.get(row.get("emotion") or "", -1) for row in rows])
    return ids[::stride], labels[::stride], emotions[::stride]


def _stride(total: int, most: int) -> int:
    return -(-total // most) if 0 < most < total else 1
