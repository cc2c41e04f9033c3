"""Tracks of clips and of single pictures, for the benchmarks that drive or judge avatars with them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from freeavatar.faces import track_faces
from freeavatar.images import Frame
from freeavatar.models import Bundle
from freeavatar.pipeline import AnimateOptions
from freeavatar.pipeline.sources import open_source
from freeavatar.pipeline.tracking import Track, TrackBuilder, tracked_frames


def track_clip(path: Path, bundle: Bundle) -> Track:
    """Follow the largest face of a clip."""
    builder = TrackBuilder(bundle.encoder)
    for tracked in tracked_frames(open_source(path), AnimateOptions()):
        builder.add(tracked)
    return builder.finish(path.name)


def track_pictures(pictures: Iterable[np.ndarray], bundle: Bundle) -> Track:
    """Look for the face in each of some pictures ``(H, W, 3)`` uint8 by itself."""
    builder = TrackBuilder(bundle.encoder)
    for picture in pictures:
        builder.add(next(iter(track_faces([Frame(0, 0.0, np.asarray(picture))], smoothing=False))))
    return builder.finish("the pictures")
