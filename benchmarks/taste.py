"""A rater with a taste of its own: answers by which a fine-tune can be judged.

    python -m benchmarks.taste --renders RENDERS   # fills $FREEAVATAR_HOME/labels/labels.db
    python -m benchmarks.taste --renders RENDERS --images 24 --answers 40   # under a minute

RENDERS is a folder that ``training.render_faces`` wrote.

One simulated person looks at the eyes and brows above all, hardly at the mouth, and answers odd-one-out questions on
renders with known rigs. What a model trained on these answers should learn is exactly that.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from annotation.asking.desk import Desk
from annotation.people.simulate import Oracle, SimulateOptions, simulate
from annotation.pool.index import LiveIndex
from annotation.store.images import Embedder, add_embeddings, add_image, encode_crop, pixel_id
from annotation.store.settings import change_settings
from annotation.store.store import Store, default_path
from freeavatar.rig import ARKIT

TASTE = np.array([3.0 if n.startswith(("eye", "brow")) else 0.4 for n in ARKIT])
"""What each blendshape counts."""


@dataclass(frozen=True)
class TasteConfig:
    """How many."""

    renders: Path
    images: int = 500
    answers: int = 2000
    noise: float = 0.05
    """Share of answers that are chance."""


def fill_pool(store: Store, config: TasteConfig, embedder: Embedder) -> None:
    """Put renders into the pool, with their rigs."""
    folder = config.renders
    crops, rigs = np.load(folder / "crops.npy", mmap_mode="r"), np.load(folder / "rigs.npy")
    people = json.loads((folder / "avatars.json").read_text())
    for k in np.random.default_rng(0).permutation(len(crops))[: config.images].tolist():
        rgb, rig, person = cv2.cvtColor(np.array(crops[k]), cv2.COLOR_GRAY2RGB), rigs[k], people[k]
        image = pixel_id(rgb)
        add_image(
            store, image, kind="render", source=f"taste/{k}", licence="CC0", crop=encode_crop(rgb), person=person,
            rig={name: round(float(weight), 4) for name, weight in zip(ARKIT, rig, strict=True) if weight},
        )  # fmt: skip
        add_embeddings(store, [image], embedder.weights, embedder.embed([rgb]))


def answer(store: Store, config: TasteConfig, embedder: Embedder) -> int:
    """One rater's answers; how many were filed."""
    change_settings(store, redundancy=1, most_raters=1, check_share=0.0)
    desk = Desk(store, LiveIndex(store, embedder.weights), seed=0)
    options = SimulateOptions(annotators=1, answers=config.answers, noise=config.noise, form="odd")
    return simulate(store, desk, Oracle(store, embedder.weights, taste=TASTE), options)[0]


def main(config: TasteConfig) -> Path:
    """Fill the app's own label store."""
    store, embedder = Store(default_path()), Embedder()
    fill_pool(store, config, embedder)
    print(f"{answer(store, config, embedder)} answers in {store.path}")
    return store.path


if __name__ == "__main__":
    main(tyro.cli(TasteConfig, description=__doc__))
