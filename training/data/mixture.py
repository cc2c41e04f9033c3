"""Batches of real faces, renders and listed triplets, in shares that the settings give."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from freeavatar.errors import InputError
from freeavatar.networks import Encoder
from freeavatar.rig import ARKIT, mirrored
from training.data.augment import cut_views, draw_jitter
from training.data.drawing import draw_class_triplets, mine_triplets
from training.data.features import cached_pooled
from training.data.images import ImagePool, crop_size, list_images, open_images
from training.data.labelled_faces import image_ids, read_rigs, read_rows
from training.data.triplets import MARGINS, Triplets, read_triplets
from training.engine.batches import Batch, generator_of, shuffled

Opener = Callable[..., ImagePool]

RAREST = 50
"""Emotions with fewer images than this are left out."""
PER_ANCHOR = 12
"""Triplets drawn from the labels of a batch for each of its images."""


@dataclass(frozen=True)
class MixtureConfig:
    """What to learn from."""

    renders: tuple[Path, ...] = ()
    """Folders written by training.render_faces."""
    faces: Path | None = None
    """Folder with images.zip and labels.csv."""
    triplets: tuple[Path, ...] = ()
    """Listed triplets: snapshots (.jsonl) and tables (.csv)."""
    triplet_weights: tuple[float, ...] = ()
    """How often each of them is drawn from, in proportion; default by their sizes."""
    triplet_images: Path | None = None
    """Folder of their images; default the one each of them lies in."""
    real_share: float = 1.0
    """Share of real faces in a batch, in proportion to the others."""
    rendered_share: float = 1.0
    listed_share: float = 1.0
    balance: float = 0.5
    """How evenly emotions are drawn: 0 as they come, 1 all alike."""
    is_relit: bool = True
    """Change light, sharpness and noise of the views; a frozen backbone learns nothing from that, but is disturbed."""
    cache: Path | None = None
    """Folder for decoded images; by default the one the run's folder lies in."""

    def __post_init__(self) -> None:
        if not (self.renders or self.faces or self.triplets):
            raise ValueError("there is nothing to learn from: give --faces, --renders or --triplets")
        if self.triplet_weights and len(self.triplet_weights) != len(self.triplets):
            raise ValueError(f"{len(self.triplets)} files of triplets have {len(self.triplet_weights)} weights")
        if not 0 <= self.balance <= 1:
            raise ValueError(f"balance is {self.balance}, expected a number in [0, 1]")


@dataclass(frozen=True, eq=False)
class _Real:
    """Real faces."""

    pool: ImagePool
    rigs: Tensor
    """``(N, 52)``, NaN where nothing is known."""
    emotions: Tensor
    """Class of each, ``(N,)`` int64; -1 for none."""
    reach: np.ndarray
    """Cumulated probability of each to be drawn, ``(N,)``."""


@dataclass(frozen=True, eq=False)
class _Rendered:
    """Renders."""

    pool: ImagePool
    rigs: Tensor
    """``(N, 52)``."""


class Mixture:
    """Batches by step and part: real faces first, then renders, then listed triplets, image after image."""

    def __init__(
        self,
        config: MixtureConfig,
        *,
        batch: int,
        parts: int,
        view: int,
        seed: int,
        cache: Path,
        opener: Opener = open_images,
    ) -> None:
        """Open the images.

        Args:
            config: what to learn from.
            batch: images of a part.
            parts: parts of a step.
            view: side of the views in pixels.
            seed: of all draws.
            cache: folder for decoded images, unless the settings name one.
            opener: how images are opened.

        Raises:
            InputError: a source is missing, or the batch is too small for its sources.
        """
        self._config, self._parts, self._view, self._seed = config, parts, view, seed
        self._open = partial(opener, cache=config.cache or cache, size=crop_size(view))
        self._mirror = torch.tensor(mirrored(ARKIT))
        self.classes: tuple[str, ...] = ()
        """Names of the emotions."""
        self._real = self._open_real(config.faces) if config.faces else None
        self._rendered = self._open_rendered() if config.renders else None
        self._listed = self._open_listed() if config.triplets else []
        self.counts = self._share_out(batch)
        """Images of a batch that are real, rendered, and listed (three times the triplets)."""
        self.rendered_std = self._rendered.rigs.std(0) if self._rendered else torch.ones(len(ARKIT))
        """Standard deviation of each channel, ``(52,)``."""
        self.silver_std = self._real.rigs.std(0).nan_to_num(1) if self._real else torch.ones(len(ARKIT))
        self._pools = [source.pool for source in (self._real, self._rendered) if source]
        self._pools += [pool for pool, _ in self._listed]
        self._pooled: list[np.ndarray] = []
        self.total = sum(map(len, self._pools))
        """Images of all sources."""

    def encode(self, encoder: Encoder, *, views: int, cache: Path, device: torch.device) -> None:
        """Give, from now on, what a frozen backbone makes of the images in the place of their crops.

        Args:
            encoder: in evaluation mode, on ``device``.
            views: jittered views of each image, an even number; every other one is mirrored.
            cache: folder for what is computed, unless the settings name one.
            device: of the encoder.
        """
        folder, is_relit = self._config.cache or cache, self._config.is_relit
        self._pooled = [
            cached_pooled(pool, encoder, views=views, is_relit=is_relit, cache=folder, device=device)
            for pool in self._pools
        ]

    def _share_out(self, batch: int) -> tuple[int, int, int]:
        config = self._config
        shares = np.array([config.real_share * bool(self._real), config.rendered_share * bool(self._rendered),
                           config.listed_share * bool(self._listed)])  # fmt: skip
        real, _, listed = (batch * shares / max(shares.sum(), 1e-9)).astype(int)
        listed = listed // 3 * 3
        real = real if shares[1] else batch - listed
        counts = int(real), int(batch - real - listed) if shares[1] else 0, int(listed)
        if any(share > 0 and count < 3 for share, count in zip(shares, counts, strict=True)):
            raise InputError(
                "a batch of {} gives its sources {} images, at least 3 each: give a larger --batch.", batch, counts
            )
        return counts

    def _open_real(self, faces: Path) -> _Real:
        rows = read_rows(faces / "labels.csv")
        pool = self._open(image_ids(faces, rows))
        names = [row.get("emotion") or "" for row in rows]
        counts = Counter(names)
        self.classes = tuple(sorted(name for name, count in counts.items() if name and count >= RAREST))
        emotions = torch.tensor([self.classes.index(name) if name in self.classes else -1 for name in names])
        usual = len(rows) / max(len(self.classes), 1)
        weights = [(counts[name] if name in self.classes else usual) ** -self._config.balance for name in names]
        rigs = torch.from_numpy(read_rigs(faces / "labels.csv"))
        reach = np.cumsum(weights) / np.sum(weights)
        return _Real(pool, rigs, emotions, reach)

    def _open_rendered(self) -> _Rendered:
        folders = self._config.renders
        pool = self._open(list_images(folders))
        rigs = np.concatenate([np.load(folder / "rigs.npy") for folder in folders])
        if len(pool) != len(rigs):
            raise InputError("{}: crops and rigs differ in number; render again.", ", ".join(map(str, folders)))
        return _Rendered(pool, torch.from_numpy(rigs))

    def _open_listed(self) -> list[tuple[ImagePool, Triplets]]:
        listed = [read_triplets(path, images=self._config.triplet_images) for path in self._config.triplets]
        return [(self._open(triplets.images), triplets) for triplets in listed]

    def _index(self, step: int, part: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of real images, renders, listed triplets' source and row."""
        real, rendered, listed = self.counts
        place, rng = step * self._parts + part, np.random.default_rng((self._seed, 2, step, part))
        faces = np.searchsorted(self._real.reach, rng.random(real)) if self._real else np.empty(0, int)
        renders = np.empty(0, np.int64)
        if self._rendered:
            renders = shuffled(len(self._rendered.pool), place * rendered, rendered, seed=self._seed)
        sizes = np.array([len(triplets) for _, triplets in self._listed] or [1], float)
        weights = np.array(self._config.triplet_weights or sizes)
        sources = rng.choice(len(sizes), listed // 3, p=weights / weights.sum())
        return faces, renders, sources, (rng.random(len(sources)) * sizes[sources]).astype(int)

    def names(self, step: int, part: int) -> list[str]:
        """Ids of the images of a batch, in their order."""
        faces, renders, sources, rows = self._index(step, part)
        places = self._places(faces, renders, sources, rows)
        return [self._pools[pool].ids[k] for pool, numbers in places for k in numbers]

    def draw(self, step: int, part: int) -> Batch:
        """A batch, whose views :meth:`prepare` cuts.

        Returns:
            ``crops`` (B, 1, C, C) uint8 and what is done to them, or after :meth:`encode` ``pooled`` (B, P) in their
            place; of real faces and renders ``rigs`` (M, 52); of real faces ``emotions`` (R,); triplets
            ``by_emotion``, ``by_rig`` and ``by_list`` (T, 3), indices into the images of the batch, and ``margins``
            (T,) of the last.
        """
        generator = generator_of(self._seed, 0, step, part)
        faces, renders, sources, rows = self._index(step, part)
        real, rendered, listed = self.counts
        mirror = torch.rand(real + rendered, generator=generator) < 0.5
        # One-sided expressions stay comparable only if a triplet is mirrored as a whole.
        mirror = torch.cat([mirror, (torch.rand(listed // 3, generator=generator) < 0.5).repeat_interleave(3)])
        batch = self._images(self._places(faces, renders, sources, rows), mirror, generator)
        batch |= self._labels(torch.from_numpy(faces), torch.from_numpy(renders), mirror, generator)
        kinds = [self._listed[source][1].kind[row] for source, row in zip(sources, rows, strict=True)]
        batch["by_list"] = torch.arange(real + rendered, real + rendered + listed).view(-1, 3)
        batch["margins"] = torch.tensor([MARGINS[kind] for kind in kinds])
        return batch

    def prepare(self, batch: Batch) -> Batch:
        """A batch with its ``views`` (B, 1, S, S) in the place of the crops, if it has any, on its device."""
        return cut_views(batch, self._view) if "crops" in batch else batch

    def _places(
        self, faces: np.ndarray, renders: np.ndarray, sources: np.ndarray, rows: np.ndarray
    ) -> list[tuple[int, np.ndarray]]:
        """Pools and numbers of their images, in the order of a batch."""
        own = [index for index, source in ((faces, self._real), (renders, self._rendered)) if source]
        listed = [
            (len(own) + source, self._listed[source][1].index[row]) for source, row in zip(sources, rows, strict=True)
        ]
        return [*enumerate(own), *listed]

    def _images(self, places: list[tuple[int, np.ndarray]], mirror: Tensor, generator: torch.Generator) -> Batch:
        """Crops and their jitter, or what the backbone gives of a view of each."""
        if not self._pooled:
            crops = np.concatenate([self._pools[pool].gather(numbers) for pool, numbers in places])
            jitter = draw_jitter(self._view, mirror, generator, relight=self._config.is_relit)
            return {"crops": torch.from_numpy(crops)[:, None], **jitter}
        pairs = torch.randint(self._pooled[0].shape[1] // 2, mirror.shape, generator=generator)
        views = np.split((2 * pairs + mirror).numpy(), np.cumsum([len(numbers) for _, numbers in places])[:-1])
        pooled = [self._pooled[pool][numbers, own] for (pool, numbers), own in zip(places, views, strict=True)]
        return {"pooled": torch.from_numpy(np.concatenate(pooled))}

    def _labels(self, faces: Tensor, renders: Tensor, mirror: Tensor, generator: torch.Generator) -> Batch:
        rigs, emotions = torch.empty(0, len(ARKIT)), torch.empty(0, dtype=torch.long)
        if self._real:
            rigs, emotions = self._real.rigs[faces], self._real.emotions[faces]
        if self._rendered:
            rigs = torch.cat([rigs, self._rendered.rigs[renders]])
        rigs = torch.where(mirror[: len(rigs), None], rigs[:, self._mirror], rigs)
        return {
            "rigs": rigs,
            "emotions": emotions,
            "by_emotion": draw_class_triplets(emotions, PER_ANCHOR, generator),
            "by_rig": _mine(rigs, len(faces), generator),
        }


def _mine(rigs: Tensor, real: int, generator: torch.Generator) -> Tensor:
    """Triplets by rig: those with real faces go by what is known of these, renders among themselves by all."""
    found = [torch.empty(0, 3, dtype=torch.long)]
    if real:
        known = ~rigs[:real].isnan().any(0)
        mixed = mine_triplets(rigs[:, known], PER_ANCHOR * len(rigs), generator)
        found.append(mixed[(mixed < real).any(1)])
    if real < len(rigs):
        found.append(mine_triplets(rigs[real:], PER_ANCHOR * (len(rigs) - real), generator) + real)
    return torch.cat(found)
