"""Embedding images: the expression space as arrays."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from freeavatar.avatars import DEFAULT_AVATAR, load_avatar
from freeavatar.errors import FaceError, InputError
from freeavatar.faces import CROP_SIZE, TrackedFrame, track_faces
from freeavatar.files import make_folder, replacing
from freeavatar.images import Frame
from freeavatar.models import Bundle, choose_device, open_bundle
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.pipeline.sources import named_images
from freeavatar.pipeline.tracking import TrackBuilder

Named = tuple[str, np.ndarray]


def embed(
    inputs: Sequence[str | Path],
    *,
    out: str | Path,
    is_aligned: bool = False,
    has_rigs: bool = False,
    device: str = "auto",
    bundle: Bundle | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Embed faces and write them to an ``.npz``.

    Args:
        inputs: images, folders, zips and videos.
        out: the ``.npz`` to write.
        is_aligned: the images are upright crops with the loose margin; nothing is detected.
        has_rigs: decode ARKit's blendshapes as well, as the default avatar plays them, frame by frame.
        device: auto, cpu, cuda, cuda:1 or mps; a bundle brings its own.
        bundle: weights; default the adopted ones.
        on_progress: called with the number of images done.

    Returns:
        What was written: ``paths`` (N,), ``embedding`` (N, 16) of unit length, ``feature`` (N, D),
        ``confidence`` (N,) and ``bundle``, the id of the weights; with ``has_rigs`` also ``rig`` (N, 52) in [0, 1], in
        the order of :data:`freeavatar.rig.ARKIT`; rows without a face are zeros with confidence 0.

    Raises:
        InputError, VideoError: an input cannot be read.
        FaceError: no image shows a face.
    """
    if not inputs:
        raise InputError("nothing to embed: give at least one image, folder, zip or video.")
    target = Path(out)
    make_folder(target.parent)
    bundle = bundle or open_bundle(device=choose_device(device))
    builder = TrackBuilder(bundle.encoder)
    names: list[str] = []
    images = (item for path in inputs for item in named_images(Path(path)))
    for name, tracked in _crops(images, is_aligned=is_aligned):
        names.append(name)
        builder.add(tracked)
        if on_progress is not None:
            on_progress(len(names))
    track = builder.finish(", ".join(map(str, inputs)))
    arrays: dict[str, Any] = {
        "paths": np.array(names),
        "embedding": track.embeddings,
        "feature": track.features,
        "confidence": track.confidence,
        "bundle": np.array(bundle.id),
    }
    if has_rigs:
        rigs = act(track.features, identity_of(load_avatar(DEFAULT_AVATAR), bundle), bundle)
        arrays["rig"] = rigs * (track.confidence > 0)[:, None]
    with replacing(target) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    return arrays


def _crops(images: Iterator[Named], *, is_aligned: bool) -> Iterator[tuple[str, TrackedFrame]]:
    """Name and tracked frame of each image, one after the other."""
    for index, (name, image) in enumerate(images):
        if is_aligned:
            if image.shape[0] != image.shape[1]:
                raise FaceError("{} is {} x {}: aligned crops are square.", name, image.shape[1], image.shape[0])
            crop = image
            if image.shape[0] != CROP_SIZE:
                crop = cv2.resize(image, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
            yield name, TrackedFrame(index, float(index), points=None, confidence=1.0, crop=crop, head=(0.0, 0.0, 0.0))
        else:
            frame = Frame(0, 0.0, image)
            yield name, next(iter(track_faces([frame], smoothing=False)))
