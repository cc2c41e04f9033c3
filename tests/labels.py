"""Small label stores for the tests."""

from pathlib import Path

import cv2
import numpy as np

from annotation.asking.desk import Desk
from annotation.pool.index import LiveIndex
from annotation.store.ids import now
from annotation.store.images import add_embeddings, add_image, encode_crop
from annotation.store.store import Store

WEIGHTS = "testweights"


def make_store(path: Path, count: int = 40, *, seed: int = 0) -> Store:
    """A pool of ``count`` grey crops with random unit embeddings."""
    store, rng = Store(path), np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{k:032x}" for k in range(count)]
    for k, image in enumerate(ids):
        crop = np.full((32, 32, 3), 5 * k % 255, np.uint8)
        cv2.putText(crop, str(k), (2, 20), cv2.FONT_HERSHEY_PLAIN, 1, (255, 255, 255))
        add_image(store, image, kind="photo", source=f"test/{k}.png", licence="CC0", crop=encode_crop(crop))
    add_embeddings(store, ids, WEIGHTS, vectors)
    return store


def add_annotators(store: Store, *names: str) -> None:
    """People who agreed."""
    with store.write() as db:
        for name in names:
            db.execute("insert or ignore into annotators values (?, 'link', null, null, '', ?)", (name, now()))


def make_desk(store: Store, *, seed: int = 0) -> Desk:
    """A desk over the pool."""
    return Desk(store, LiveIndex(store, WEIGHTS), seed=seed)
