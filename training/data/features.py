"""What an encoder gives of many images, computed once and kept: whatever trains behind it pays for it once.

The rig decoder trains on features, and an embedding whose backbone stays as it is on what that backbone gives.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from tqdm import tqdm

from freeavatar.files import make_folder, replacing
from freeavatar.networks import Encoder
from training.data.augment import random_views
from training.data.images import ImagePool, crop_size, fingerprints, open_images
from training.engine.batches import generator_of

logger = logging.getLogger(__name__)

VIEWS = 2
"""Views of each image: one as it is, one mirrored; jittered, re-lit and blurred each in its own way."""
ENCODED_VIEWS = 8
"""Views of an image that a backbone which stays as it is encodes once, at most."""
_CHUNK = 256


@dataclass(frozen=True)
class Features:
    """Of N images."""

    feature: np.ndarray
    """``(N, 2, F)`` float16: of the image, of its mirror image."""
    embedding: np.ndarray
    """Unit length, ``(N, 2, 16)`` float16."""

    def __len__(self) -> int:
        return len(self.feature)


def cached_features(ids: Sequence[str], encoder: Encoder, *, cache: Path, device: torch.device) -> Features:
    """Features of images, from the cache if they were encoded before.

    Args:
        ids: from ``training.data.images.list_images``.
        encoder: in evaluation mode, on ``device``.
        cache: folder for decoded images and features.
        device: of the encoder.

    Raises:
        InputError: an image cannot be read.
    """
    path = make_folder(cache) / f"features_{_digest(ids, encoder)}.npz"
    with FileLock(path.with_suffix(".lock")):  # of several processes one encodes, the others wait for it
        if not path.exists():
            found = _encode(open_images(ids, cache=cache, size=crop_size(encoder.config.image_size)), encoder, device)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, feature=found.feature, embedding=found.embedding)
    with np.load(path) as stored:
        return Features(stored["feature"], stored["embedding"])


def cached_pooled(
    pool: ImagePool, encoder: Encoder, *, views: int, is_relit: bool, cache: Path, device: torch.device
) -> np.ndarray:
    """What the backbone of an encoder gives of several views of each image, from the cache if it is there.

    Args:
        pool: N images.
        encoder: in evaluation mode, on ``device``.
        views: jittered views of each image, an even number; every other one is mirrored.
        is_relit: as ``relight`` of :func:`training.data.augment.random_views`.
        cache: folder for what is computed.
        device: of the encoder.

    Returns:
        ``(N, views, P)`` float16, memory-mapped.
    """
    path = make_folder(cache) / f"features_{_digest(pool.ids, encoder, views, is_relit)}.npy"
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            with replacing(path) as temporary:
                _pool_into(temporary, pool, encoder, views, is_relit, device)
    return np.load(path, mmap_mode="r")


def joined(parts: Sequence[Features]) -> Features:
    """Features of several lists of images, one after the other."""
    return Features(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("feature", "embedding")))


def _digest(ids: Sequence[str], encoder: Encoder, *more: object) -> str:
    digest = hashlib.sha256("\n".join([*fingerprints(ids), *map(str, more)]).encode())
    for name, values in sorted(encoder.state_dict().items()):
        digest.update(name.encode() + values.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _encode(pool: ImagePool, encoder: Encoder, device: torch.device) -> Features:
    feature = np.empty((len(pool), VIEWS, encoder.config.feature_size), np.float16)
    embedding = np.empty((len(pool), VIEWS, encoder.embed.out_features), np.float16)
    for rows, view, crops in _views_of(pool, encoder.config.image_size, VIEWS, is_relit=True, device=device):
        with torch.inference_mode():
            found = encoder(crops)
        feature[rows, view], embedding[rows, view] = (values.float().cpu().numpy() for values in found)
    return Features(feature, embedding)


def _pool_into(path: Path, pool: ImagePool, encoder: Encoder, views: int, is_relit: bool, device: torch.device) -> None:
    shape = (len(pool), views, encoder.project.in_features)
    out = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    for rows, view, crops in _views_of(pool, encoder.config.image_size, views, is_relit=is_relit, device=device):
        with torch.inference_mode():
            out[rows, view] = encoder.pool(crops).float().cpu().numpy()
    out.flush()


def _views_of(
    pool: ImagePool, size: int, views: int, *, is_relit: bool, device: torch.device
) -> Iterator[tuple[np.ndarray, int, Tensor]]:
    """Numbers of images, which view of them, and these ``(B, 1, size, size)`` on the device; every other view is
    mirrored."""
    for start in tqdm(range(0, len(pool), _CHUNK), desc="encoding", disable=None):
        rows = np.arange(start, min(start + _CHUNK, len(pool)))
        crops = torch.from_numpy(pool.gather(rows))[:, None].to(device).float() / 255
        for view in range(views):
            mirror = torch.full((len(rows),), bool(view % 2))
            cut = random_views(crops, size, mirror, generator_of(5, start, view), relight=is_relit)
            yield rows, view, cut.contiguous(memory_format=torch.channels_last)
