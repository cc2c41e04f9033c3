"""Features of many images, encoded once and kept: the rig decoder trains on them at no cost for the encoder."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from tqdm import tqdm

from freeavatar.files import make_folder, replacing
from freeavatar.models import Encoder
from training.data.augment import random_views
from training.data.images import crop_size, fingerprints, open_images
from training.engine.batches import generator_of

logger = logging.getLogger(__name__)

VIEWS = 2
"""Views of each image: one as it is, one mirrored; jittered, re-lit and blurred each in its own way."""
_CHUNK = 64


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
    digest = hashlib.sha256("\n".join(fingerprints(ids)).encode())
    for name, values in sorted(encoder.state_dict().items()):
        digest.update(name.encode() + values.cpu().numpy().tobytes())
    path = make_folder(cache) / f"features_{digest.hexdigest()[:16]}.npz"
    with FileLock(path.with_suffix(".lock")):  # of several processes one encodes, the others wait for it
        if not path.exists():
            found = _encode(ids, encoder, cache, device)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, feature=found.feature, embedding=found.embedding)
    with np.load(path) as stored:
        return Features(stored["feature"], stored["embedding"])


def joined(parts: Sequence[Features]) -> Features:
    """Features of several lists of images, one after the other."""
    return Features(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("feature", "embedding")))


def _encode(ids: Sequence[str], encoder: Encoder, cache: Path, device: torch.device) -> Features:
    size = encoder.config.image_size
    pool = open_images(ids, cache=cache, size=crop_size(size))
    feature = np.empty((len(pool), VIEWS, encoder.config.feature_size), np.float16)
    embedding = np.empty((len(pool), VIEWS, encoder.embed.out_features), np.float16)
    for start in tqdm(range(0, len(pool), _CHUNK), desc="encoding", disable=None):
        rows = np.arange(start, min(start + _CHUNK, len(pool)))
        crops = torch.from_numpy(pool.gather(rows))[:, None].float() / 255
        for view in range(VIEWS):
            mirror = torch.full((len(rows),), bool(view))
            views = random_views(crops, size, mirror, generator_of(5, start, view))
            with torch.inference_mode():
                found = encoder(views.to(device).contiguous(memory_format=torch.channels_last))
            feature[rows, view], embedding[rows, view] = (values.float().cpu().numpy() for values in found)
    return Features(feature, embedding)
