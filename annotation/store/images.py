"""Rows of the image pool: crops, ids, embeddings."""

import hashlib
import json
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from annotation.store.ids import now
from annotation.store.store import Store
from freeavatar.errors import InputError
from freeavatar.faces import CROP_SIZE
from freeavatar.models import EMBEDDING_SIZE, Bundle, adopted_bundle, open_bundle
from freeavatar.pipeline.tracking import BATCH

SHOWN_SIZE = 320
"""Largest side of a stored crop in pixels: sharp on a phone at a third of a laptop's width."""
_QUALITY = 88


def pixel_id(pixels: np.ndarray) -> str:
    """Id of an image by its pixels ``(H, W, 3)`` uint8: the same on every machine."""
    digest = hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()[:32]


def reference_id(source: str, box: Sequence[float] | None) -> str:
    """Id of a face known by its source and its box in it (FEC), with or without pixels."""
    return hashlib.sha256(json.dumps([source, box]).encode()).hexdigest()[:32]


def content_hash(crop: bytes | None) -> str | None:
    """Hash of a stored crop; the same file has one on every machine."""
    return None if crop is None else hashlib.sha256(crop).hexdigest()


def is_forgotten(store: Store, image_id: str, crop: bytes | None = None) -> bool:
    """Whether an image was forgotten, by its id or by its crop: it must not come back."""
    sql = "select 1 from tombstones where image_id = ? or crop_hash = ?"
    return store.value(sql, (image_id, content_hash(crop))) is not None


def encode_crop(crop: np.ndarray) -> bytes:
    """JPEG of a crop ``(S, S, 3)`` uint8."""
    _, data = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def decode_crop(data: bytes) -> np.ndarray:
    """A stored crop, ``(S, S, 3)`` uint8 RGB."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def add_image(
    store: Store, image_id: str, *, kind: str, source: str, licence: str, crop: bytes | None,
    box: Sequence[float] | None = None, person: str | None = None, rig: dict[str, float] | None = None,
) -> bool:  # fmt: skip
    """Add an image; whether it is new. One known by name alone gains its crop."""
    row = (
        image_id, kind, source, None if box is None else json.dumps(list(box)), licence, person,
        None if rig is None else json.dumps(rig), crop, now(),
    )  # fmt: skip
    with store.write() as db:
        added = db.execute(f"insert or ignore into images values ({', '.join('?' * len(row))})", row).rowcount
        if not added and crop is not None:
            sql = "update images set crop = ?, kind = ?, licence = ? where id = ? and crop is null"
            added = db.execute(sql, (crop, kind, licence, image_id)).rowcount
    return bool(added)


def add_embeddings(store: Store, ids: Sequence[str], weights: str, vectors: np.ndarray) -> None:
    """Add embeddings ``(N, D)`` of images under the id of the weights they come from."""
    rows = [(i, weights, vector.astype(np.float32).tobytes()) for i, vector in zip(ids, vectors, strict=True)]
    with store.write() as db:
        db.conn.executemany("insert or ignore into embeddings values (?, ?, ?)", rows)


_EMBEDDED_AT_ONCE = 64
"""Crops between two commits."""


class Embedder:
    """Embeds crops with one bundle of weights.

    Args:
        folder: the weights; default the adopted ones.

    Raises:
        WeightsError: the weights cannot be used.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or adopted_bundle()
        self.weights = weights_id(folder)
        self._bundle: Bundle = open_bundle(folder)

    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings ``(N, 16)`` of square crops of any sizes, uint8 RGB."""
        small = [cv2.resize(crop, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA) for crop in crops]
        parts = [self._bundle.encoder.encode(small[k : k + BATCH])[1] for k in range(0, len(small), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, EMBEDDING_SIZE), np.float32)


def weights_id(folder: Path | None = None) -> str:
    """Twelve hex digits of the encoder's file, for embeddings hang on the encoder alone; default the adopted one's.

    Raises:
        InputError: there is no such file.
    """
    folder = folder or adopted_bundle()
    try:
        return _digest(folder / "encoder.safetensors", (folder / "encoder.safetensors").stat().st_mtime_ns)
    except OSError as error:
        raise InputError("{} holds no encoder.safetensors: give a folder of weights.", folder) from error


@lru_cache
def _digest(path: Path, _changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def embed_steps(
    store: Store, weights: str, embed: Callable[[list[np.ndarray]], np.ndarray]
) -> Generator[tuple[int, int], None, None]:
    """Embed every crop that has no embedding under some weights.

    Args:
        store: the labels.
        weights: id of the encoder.
        embed: embeddings ``(N, 16)`` of crops.

    Yields:
        How many are done and how many there are, at first and after each batch; closing the generator keeps them.
    """
    sql = (
        "select id, crop from images where crop is not null and not exists "
        "(select 1 from embeddings where image_id = images.id and weights = ?)"
    )
    total, done = store.value(sql.replace("id, crop", "count(*)", 1), (weights,)), 0
    yield done, total
    while rows := store.rows(f"{sql} limit {_EMBEDDED_AT_ONCE}", (weights,)):
        add_embeddings(store, [row["id"] for row in rows], weights, embed([decode_crop(row["crop"]) for row in rows]))
        done += len(rows)
        yield done, total


def embed_missing(
    store: Store, embedder: Embedder, *, is_cancelled: Callable[[], bool] = lambda: False
) -> int:  # fmt: skip
    """Embed every crop that has no embedding under these weights; how many there were."""
    done = 0
    for count, _ in embed_steps(store, embedder.weights, embedder.embed):
        done = count
        if is_cancelled():
            break
    return done
