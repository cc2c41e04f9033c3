"""Measure an encoder: what people call similar, what crosses from faces to avatars, what should not matter.

    python -m training.evaluate --weights RUN/weights --faces FACES --avatars HELD_OUT --out DIR
    python -m training.evaluate --faces FACES --avatars HELD_OUT --out DIR --preset small   # under a minute

FACES is a folder with images.zip and labels.csv, of which the val split is used; HELD_OUT one of identities that
no training saw (``tools/bake_avatars.py --random 20 --first 1000``). Faces rendered once are kept in ``--renders``
for the next weights. Writes ``evaluation.json`` and ``retrieval.png``; every figure has its 95 % interval.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro

from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.files import make_folder, replacing, write_png
from freeavatar.models import DEFAULT_WEIGHTS
from freeavatar.networks import Bundle, encode_crops, load_bundle
from training.data.drawing import draw_acted, draw_recast
from training.data.images import open_images
from training.data.labelled_faces import image_ids, read_rows, rigs_of_scores
from training.engine.devices import torch_device
from training.measure.figures import (
    Figure,
    bootstrap,
    draw_label_triplets,
    identity_leakage,
    side_hits,
    triplet_hits,
)
from training.measure.retrieval import Gallery, draw_sheet
from training.renders.held_out import GESTURES, HeldOut

BATCH = 64
"""Crops encoded together."""
CROSS_DOMAIN = 5000
"""Cross-domain triplets."""
REPEATS = 4
"""Avatars that show each natural rig."""
DRAWS = 20
"""Takes on other avatars each one-sided gesture is compared with."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    real: int | None
    """Real faces; None takes all of val."""
    acted: int
    """Real faces re-enacted by avatars."""
    rigs: int
    """Natural rigs, each on several avatars."""
    takes: int
    """Takes of each gesture."""
    avatars: int | None
    """Identities; None takes all."""


PRESETS = {"full": Sizes(None, 2000, 250, 40, None), "small": Sizes(600, 120, 30, 6, 6)}


@dataclass(frozen=True)
class EvaluateConfig:
    """What to measure."""

    faces: Path
    """Folder with images.zip and labels.csv."""
    avatars: Path
    """Folder of held-out identities, GLB files."""
    out: Path
    """Folder of the result."""
    weights: Path = DEFAULT_WEIGHTS
    """Bundle to measure; default the one that ships."""
    renders: Path | None = None
    """Folder where rendered faces are kept; default ``renders`` in ``out``."""
    preset: Literal["full", "small"] = "full"
    """Number of faces: all of val and 3,360 renders, or 600 and 294."""
    device: str = "auto"
    threads: int = 1


class Evaluation:
    """Embeddings of all sets, and the figures drawn from them."""

    def __init__(self, config: EvaluateConfig, bundle: Bundle) -> None:
        self._bundle, self._device = bundle, torch_device(config.device)
        sizes, kept = PRESETS[config.preset], config.renders or config.out / "renders"
        labels = config.faces / "labels.csv"
        rows = read_rows(labels, split="val")
        # The order of labels.csv, which the draw of human triplets hangs on.
        chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[: sizes.real])
        self.rows = [rows[k] for k in chosen]
        self.rigs = rigs_of_scores(labels, split="val")[chosen]
        """Of the faces, ``(N, 52)``, by a judge that is not measured; NaN where nothing is known."""
        held_out = HeldOut(kept, config.avatars, limit=sizes.avatars)
        faces = np.random.default_rng(1).permutation(len(self.rows))[: sizes.acted]
        self.acted = held_out.acted(np.nan_to_num(self.rigs)[faces], faces)
        self.recast = held_out.recast(labels, rigs=sizes.rigs, repeats=REPEATS)
        self.one_sided = held_out.one_sided(labels, takes=sizes.takes)
        pool = open_images(image_ids(config.faces, self.rows), cache=kept)
        self.real_crops = pool.gather(np.arange(len(pool)))
        self.real = self._encode(self.real_crops)[1]
        self.acted_embedding = self._encode(self.acted.crops)[1]

    def _encode(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features ``(N, D)`` and embeddings ``(N, 16)``, float64, of luma crops ``(N, S, S)`` uint8."""
        parts = []
        for start in range(0, len(crops), BATCH):
            rgb = [np.repeat(crop[..., None], 3, axis=2) for crop in crops[start : start + BATCH]]
            parts.append(encode_crops(self._bundle.encoder, rgb, self._device))
        features, embeddings = (np.concatenate(column).astype(np.float64) for column in zip(*parts, strict=True))
        return features, embeddings

    def human(self) -> dict[str, Figure]:
        """Triplets of human emotion labels."""
        rows = [
            k for k, row in enumerate(self.rows) if row.get("source", "fer2013") == "fer2013" and row.get("emotion")
        ]
        labels = [self.rows[k]["emotion"] for k in rows]
        if len(set(labels)) < 2 or min(map(labels.count, set(labels))) < 2:
            raise InputError(
                "labels.csv needs two images of each of two emotions in its val split: add a column emotion."
            )
        triplets = draw_label_triplets(labels)
        embedding = self.real[rows]
        hits = triplet_hits(*(embedding[triplets[:, k]] for k in range(3)))
        return {"human labels": bootstrap(hits, triplets, chance=1 / 3)}

    def cross_domain(self) -> dict[str, Figure]:
        """A real face, its rig on an avatar, another's rig on an avatar: farther than the median, or any."""
        faces, rng = self.acted.numbers, np.random.default_rng(0)
        known = ~np.isnan(self.rigs).any(0)
        far = draw_acted(self.acted.rigs[:, known], CROSS_DOMAIN, rng, candidates=len(faces))
        free = rng.integers(len(faces), size=(CROSS_DOMAIN, 2))[:, [0, 0, 1]]
        figures = {}
        for name, triplets in (("", far), (", any other rig", free[free[:, 1] != free[:, 2]])):
            positive, negative = (self.acted_embedding[triplets[:, k]] for k in (1, 2))
            hits = triplet_hits(self.real[faces[triplets[:, 0]]], positive, negative)
            figures[f"cross-domain{name}"] = bootstrap(hits, triplets[:, 1:], chance=1 / 3)
        return figures

    def same_rig(self) -> dict[str, Figure]:
        """A rig on one avatar, the same on another, and another on the first."""
        embedding = self._encode(self.recast.crops)[1]
        figures = {}
        for name, hard in (("same rig on another avatar", 0.0), ("same rig, most similar other", 1.0)):
            triplets = draw_recast(
                self.recast.numbers, self.recast.avatars, self.recast.rigs, 5000, np.random.default_rng(0), hard=hard
            )
            hits = triplet_hits(*(embedding[triplets[:, k]] for k in range(3)))
            figures[name] = bootstrap(hits, triplets, chance=1 / 3)
        return figures

    def left_right(self) -> dict[str, Figure]:
        """The side of one-sided gestures, all and each, and by the pooled feature, which the rig is decoded from."""
        found = self.one_sided
        features, embedding = self._encode(found.crops)

        def ask(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return side_hits(vectors, found.numbers, found.avatars, draws=DRAWS, rng=np.random.default_rng(0))

        hits, asked = ask(embedding)
        figures = {"left or right": bootstrap(hits, asked, chance=1 / 3)}
        for k, name in enumerate(GESTURES):
            own = found.numbers[asked] // 3 == k
            figures[f"left or right, {name}"] = bootstrap(hits[own], asked[own], chance=1 / 3)
        spread = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
        return figures | {"left or right, pooled feature": bootstrap(*ask(spread), chance=1 / 3)}

    def leakage(self) -> dict[str, Figure]:
        """Whether neighbours are the same person; lower is better."""
        persons = [row.get("identity", "") for row in self.rows]
        figures = {}
        if len(set(filter(None, persons))) < len(list(filter(None, persons))):
            figures["same person among 5"] = identity_leakage(self.real, persons)
        figures["same avatar among 5"] = identity_leakage(self.acted_embedding, self.acted.avatars.tolist())
        return figures

    def sheet(self) -> np.ndarray:
        """Retrieval as a picture, ``(H, W, 3)`` uint8."""
        persons = np.array([row.get("identity") or f"nobody {k}" for k, row in enumerate(self.rows)])
        classes = np.array([row.get("emotion", "") for row in self.rows])
        return draw_sheet(
            Gallery(self.real_crops, self.real, persons, classes),
            Gallery(self.acted.crops, self.acted_embedding, self.acted.avatars, classes[self.acted.numbers]),
        )


def evaluate(config: EvaluateConfig) -> dict[str, Figure]:
    """Measure, write ``evaluation.json`` and ``retrieval.png`` into ``config.out``, and return the figures.

    Raises:
        InputError: faces or identities are missing.
        WeightsError: the weights cannot be loaded.
    """
    torch.set_num_threads(config.threads)
    out = make_folder(config.out)
    started = time.monotonic()
    bundle = load_bundle(config.weights, device=torch_device(config.device))
    evaluation = Evaluation(config, bundle)
    parts: tuple[Callable[[], dict[str, Figure]], ...] = (
        evaluation.human, evaluation.cross_domain, evaluation.same_rig, evaluation.left_right, evaluation.leakage,
    )  # fmt: skip
    figures = {name: figure for part in parts for name, figure in part().items()}
    write_png(evaluation.sheet(), out / "retrieval.png")
    report = {
        "weights": str(config.weights),
        "preset": config.preset,
        "figures": {name: asdict(figure) for name, figure in figures.items()},
        "seconds": round(time.monotonic() - started, 1),
    }
    with replacing(out / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1))
    return figures


def main(config: EvaluateConfig) -> None:
    """Print the figures."""
    for name, figure in evaluate(config).items():
        print(f"{name:36s} {figure}")
    print(config.out / "evaluation.json", config.out / "retrieval.png", sep="\n")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        main(tyro.cli(EvaluateConfig, description=__doc__))
    except FreeAvatarError as error:
        sys.exit(f"training.evaluate: {error}")
