"""First pass: frames to a track of expression features, at most 2 KB a frame."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from freeavatar.errors import FaceError
from freeavatar.faces import TrackedFrame, track_faces
from freeavatar.images import Frame
from freeavatar.models import EMBEDDING_SIZE, Encoder
from freeavatar.performance.settings import AnimateOptions
from freeavatar.pipeline.progress import Progress, timed
from freeavatar.pipeline.sources import Source
from freeavatar.pipeline.stages import ahead
from freeavatar.rig import Curves

BATCH = 16
"""Crops encoded together."""


@dataclass(frozen=True)
class Track:
    """What is kept of every frame."""

    times: np.ndarray
    """``(T,)`` float64 seconds."""
    features: np.ndarray
    """``(T, D)`` float32; zeros where no face was found."""
    embeddings: np.ndarray
    """Unit length, ``(T, 16)`` float32; zeros where no face was found."""
    head: np.ndarray
    """Yaw, pitch, roll, ``(T, 3)`` float32 degrees; zeros where no face was found."""
    points: np.ndarray
    """Five points, ``(T, 5, 2)`` float32 in pixels of the frame; zeros where no face was found."""
    confidence: np.ndarray
    """``(T,)`` float32 in [0, 1]; 0 where no face was found."""
    cuts: np.ndarray
    """Frames at which another shot begins, ``(T,)`` bool."""

    @property
    def found(self) -> np.ndarray:
        """Frames with a face, ``(T,)`` bool."""
        return self.confidence > 0

    def curves(self, weights: np.ndarray, rate: Fraction) -> Curves:
        """ARKit's blendshapes ``(T, 52)`` that were decoded from the features, with the head as tracked."""
        return Curves(
            weights=weights, times=self.times, rate=rate, head=self.head, confidence=self.confidence, cuts=self.cuts
        )


class TrackBuilder:
    """Collects tracked frames, encoding their crops in batches."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._rows: list[tuple[float, np.ndarray, np.ndarray, float, bool]] = []
        self._features: list[np.ndarray] = []
        self._embeddings: list[np.ndarray] = []
        self._waiting: list[np.ndarray | None] = []

    def add(self, tracked: TrackedFrame) -> None:
        """Add the next frame."""
        has_face = tracked.crop is not None
        head = np.asarray(tracked.head, np.float32) if has_face else np.zeros(3, np.float32)
        points = np.zeros((5, 2), np.float32) if tracked.points is None else tracked.points
        self._rows.append((tracked.time, head, points, tracked.confidence if has_face else 0.0, tracked.is_cut))
        self._waiting.append(tracked.crop)
        if len(self._waiting) == BATCH:
            self._encode()

    def _encode(self) -> None:
        features = np.zeros((len(self._waiting), self._encoder.config.feature_size), np.float32)
        embeddings = np.zeros((len(self._waiting), EMBEDDING_SIZE), np.float32)
        found = [k for k, crop in enumerate(self._waiting) if crop is not None]
        if found:
            crops = [crop for crop in self._waiting if crop is not None]
            features[found], embeddings[found] = self._encoder.encode(crops)
        self._features.append(features)
        self._embeddings.append(embeddings)
        self._waiting = []

    def finish(self, name: str) -> Track:
        """The whole track.

        Raises:
            FaceError: no frame shows a face.
        """
        if self._waiting:
            self._encode()
        if not any(confidence > 0 for *_, confidence, _ in self._rows):
            raise FaceError(
                "no face was found in {} ({} frames): use a picture of one person, the face at least 50 pixels wide "
                "and not turned away, take the first face if there is only one, or draw a box around the face of a "
                "mask or a drawing (--crop).",
                name,
                len(self._rows),
            )
        return Track(
            times=np.array([row[0] for row in self._rows]),
            features=np.concatenate(self._features),
            embeddings=np.concatenate(self._embeddings),
            head=np.stack([row[1] for row in self._rows]),
            points=np.stack([row[2] for row in self._rows]),
            confidence=np.array([row[3] for row in self._rows], np.float32),
            cuts=np.array([row[4] for row in self._rows]),
        )


def tracked_frames(frames: Iterable[Frame], options: AnimateOptions) -> Iterator[TrackedFrame]:
    """Frames with their face; independent of one another unless the options make them a sequence."""
    yield from track_faces(frames, face=options.face, box=options.box, smoothing=options.is_sequence)


def follow(source: Source, encoder: Encoder, options: AnimateOptions) -> Generator[Progress, None, Track]:
    """Find, follow and encode the face of an input; yields how far that is.

    Raises:
        FaceError: no frame shows a face.
    """
    builder = TrackBuilder(encoder)
    at = timed("tracking", source.frames)
    yield at(0, 0.0)
    with closing(ahead(tracked_frames(ahead(source), options))) as frames:
        for done, tracked in enumerate(frames, 1):
            builder.add(tracked)
            if done % 8 == 0 or done == source.frames:
                yield at(done, tracked.time)
    return builder.finish(source.path.name)
