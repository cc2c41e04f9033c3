"""Make triplets from what is known of images: silver rigs, human labels, renders with known rigs, FEC's ratings.

    python -m training.build_triplets --out DIR --faces FACES --pairs PAIRS --acted ACTED
    python -m training.build_triplets --out DIR --fec faceexp-comparison-data-train-public.csv --fec-images IMAGES
    python -m training.build_triplets --out DIR --faces FACES --count 1000   # under a minute

FACES is a folder with images.zip and labels.csv, of which the train split is used. PAIRS and ACTED come from
``training.render_faces`` with ``--repeats 4 --sides`` and with ``--is-reenactment``. Writes a snapshot for each
source that was given, naming the images where they lie:

- ``silver.jsonl``: real faces whose silver rigs make the odd one out clear; unknown channels do not count.
- ``labels.jsonl``: real faces, the first two of one human label, classes drawn evenly, three persons.
- ``recast.jsonl``: a render, its rig on another avatar, and another rig on its own avatar.
- ``acted.jsonl``: a real face, a render of its silver rig, and a render of another's that is farther than the median.
- ``fec.jsonl``: FEC's triplets on which its raters agree, the faces cut into ``fec/crops.npy``.
"""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from freeavatar.errors import FreeAvatarError, InputError
from training.data.drawing import draw_acted, draw_classes, draw_clear, draw_recast
from training.data.fec import AGREEMENT, cut_triplets, read_comparisons
from training.data.labelled_faces import image_ids, read_rigs, read_rows
from training.data.triplets import SEPARATOR, Triplets, make_triplets, write_jsonl

logger = logging.getLogger(__name__)

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class BuildConfig:
    """What to make triplets from; what is not given is left out."""

    out: Path
    """Folder of the snapshots."""
    faces: Path | None = None
    """Folder with images.zip and labels.csv."""
    pairs: tuple[Path, ...] = ()
    """Renders that show each rig on several avatars."""
    acted: tuple[Path, ...] = ()
    """Renders of the silver rigs of ``faces``."""
    fec: Path | None = None
    """FEC's CSV."""
    fec_images: Path | None = None
    """Folder with FEC's images, called as in their URLs."""
    agreement: float = AGREEMENT
    """Share of FEC's raters that must agree, in [0, 1]."""
    count: int = 200_000
    """Triplets drawn for each source; those that break a rule are dropped."""
    fewest: int = 20
    """Images a human label must have to be drawn."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.faces or self.pairs or self.fec):
            raise ValueError("nothing to build from: give --faces, --pairs or --fec")
        if self.acted and not self.faces:
            raise ValueError("acted renders need the faces they re-enact: give --faces as well")
        if (self.fec is None) != (self.fec_images is None):
            raise ValueError("FEC needs both its CSV and its images: give --fec and --fec-images")
        if self.count < 1:
            raise ValueError(f"count is {self.count}, expected at least 1")


def build_triplets(config: BuildConfig) -> dict[str, Triplets]:
    """Draw the triplets of every source given and write their snapshots.

    Returns:
        The triplets by source: silver, labels, recast, acted, fec.

    Raises:
        InputError: a source is missing, of another layout, or too poor for a comparison.
    """
    sources: dict[str, Callable[[BuildConfig, np.random.Generator], Triplets]] = {}
    if config.faces is not None:
        sources |= {"silver": from_silver, "labels": from_labels}
    if config.pairs:
        sources["recast"] = from_pairs
    if config.acted:
        sources["acted"] = from_acted
    if config.fec is not None:
        sources["fec"] = from_fec
    built = {}
    for number, (name, draw) in enumerate(sources.items()):
        built[name] = draw(config, np.random.default_rng([config.seed, number]))
        path = write_jsonl(built[name], config.out / f"{name}.jsonl")
        logger.info("%s: %d triplets of %d images", path, len(built[name]), len(built[name].images))
    return built


def from_silver(config: BuildConfig, rng: np.random.Generator) -> Triplets:
    """Real faces whose silver rigs make the odd one out clear."""
    rows, ids, rigs = _faces(config)
    found = draw_clear(rigs[:, _known(rigs)], config.count, rng)
    return _named(ids, found, kinds_of([row.get("emotion", "") for row in rows], found))


def from_labels(config: BuildConfig, rng: np.random.Generator) -> Triplets:
    """Real faces of which the first two share a human label."""
    rows, ids, _ = _faces(config)
    classes = [row.get("emotion", "") for row in rows]
    persons = [row.get("identity", "") for row in rows]
    found = draw_classes(classes, persons, config.count, rng, fewest=config.fewest)
    return _named(ids, found, kinds_of(classes, found))


def from_pairs(config: BuildConfig, rng: np.random.Generator) -> Triplets:
    """Renders of one rig on two avatars, and of another rig on the first of them."""
    triplets = []
    for folder in config.pairs:
        rigs, ids = _renders(folder)
        expressions = _load(folder, "expressions.npy")
        avatars = np.unique(json.loads((folder / "avatars.json").read_text()), return_inverse=True)[1]
        found = draw_recast(expressions, avatars, rigs, config.count // len(config.pairs), rng)
        triplets += [[ids[k] for k in row] for row in found]
    if not triplets:
        raise InputError("{} has no rig on two avatars beside another: render more of them.", config.pairs[0])
    return make_triplets(triplets, np.full(len(triplets), 2))


def from_acted(config: BuildConfig, rng: np.random.Generator) -> Triplets:
    """Real faces, the render of their silver rig, and another's farther than the median."""
    rows, ids, labels = _faces(config)
    place = {row["file"]: name for row, name in zip(rows, ids, strict=True)}
    triplets: list[list[str]] = []
    for folder in config.acted:
        rigs, renders = _renders(folder)
        files = json.loads(_existing(folder, "files.json").read_text())
        if not set(files) <= set(place):
            raise InputError("{} re-enacts faces that labels.csv lacks: render it from this labels.csv again.", folder)
        found = draw_acted(rigs[:, _known(labels)], config.count // len(config.acted), rng)
        triplets += [[place[files[a]], renders[p], renders[n]] for a, p, n in found]
    return make_triplets(triplets, np.full(len(triplets), 2))


def from_fec(config: BuildConfig, rng: np.random.Generator) -> Triplets:
    """FEC's triplets on which its raters agree; nothing is drawn."""
    assert config.fec is not None and config.fec_images is not None
    comparisons = read_comparisons(config.fec, agreement=config.agreement)
    return cut_triplets(comparisons, images=config.fec_images, out=config.out / "fec")


def kinds_of(classes: Sequence[str], triplets: np.ndarray) -> np.ndarray:
    """How many classes the images of each triplet ``(T, 3)`` show: 1, 2 or 3; unknown classes are all different."""
    names = np.array([name or f"unknown {k}" for k, name in enumerate(classes)])
    a, p, n = names[triplets].T
    return 3 - (a == p) - ((n == a) | (n == p)).astype(np.int8)


def _named(ids: Sequence[str], rows: np.ndarray, kinds: np.ndarray) -> Triplets:
    return make_triplets([[ids[k] for k in row] for row in rows], kinds)


def _faces(config: BuildConfig) -> tuple[Rows, list[str], np.ndarray]:
    """Rows of the train split, their image ids, and their rigs ``(N, 52)``."""
    assert config.faces is not None
    labels = config.faces / "labels.csv"
    rows = read_rows(labels)
    _existing(config.faces, "images.zip")
    return rows, image_ids(config.faces, rows), read_rigs(labels)


def _known(rigs: np.ndarray) -> np.ndarray:
    """Channels that are known of all rigs ``(N, 52)``."""
    return ~np.isnan(rigs).any(0)


def _renders(folder: Path) -> tuple[np.ndarray, list[str]]:
    """Rigs and image ids of renders."""
    rigs, crops = _load(folder, "rigs.npy"), _existing(folder, "crops.npy")
    return rigs, [f"{crops}{SEPARATOR}{row}" for row in range(len(rigs))]


def _load(folder: Path, name: str) -> np.ndarray:
    return np.load(_existing(folder, name))


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise InputError(
            "{} lacks {}: see python -m training.build_triplets --help for what it should be.", folder, name
        )
    return folder / name


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        build_triplets(tyro.cli(BuildConfig, description=__doc__))
    except FreeAvatarError as error:
        sys.exit(f"training.build_triplets: {error}")
