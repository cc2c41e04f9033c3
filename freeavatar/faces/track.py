"""The face track of a clip: steady crops and head angles, frame by frame, in constant memory."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from freeavatar.errors import InputError
from freeavatar.faces.align import crop_face
from freeavatar.faces.detect import detect_faces, refine_face
from freeavatar.faces.drawn import Box, DrawnFaceTracker, find_drawn
from freeavatar.faces.lineup import PATIENCE
from freeavatar.faces.pose import head_pose
from freeavatar.faces.retina import Face
from freeavatar.faces.smooth import LOOKAHEAD, smooth_points
from freeavatar.faces.tracker import FaceTracker
from freeavatar.images import Frame


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """What a frame shows of the face; where it is not in sight, points, crop and head are None."""

    index: int
    """Place in the clip, from 0."""
    time: float
    """Seconds from the first frame."""
    points: np.ndarray | None
    """Five points, ``(5, 2)`` float32, in image pixels, smoothed over time unless asked not to."""
    confidence: float
    """Score of the detector, in [0, 1]; 0 where the face is not in sight."""
    crop: np.ndarray | None
    """The loose crop around the points, RGB ``(144, 144, 3)`` uint8."""
    head: tuple[float, float, float] | None
    """Yaw, pitch and roll of the head, in degrees."""
    is_cut: bool = False
    """Whether another shot begins: the face was in sight on the frame before, and is not followed from there."""


@dataclass(frozen=True, eq=False)
class _Sample:
    """The measured points of one frame, and the unbroken piece of track they belong to."""

    time: float
    piece: int
    face: Face | None


def track_faces(
    frames: Iterable[Frame], *, face: int = 0, box: Box | None = None, smoothing: bool = True
) -> Iterator[TrackedFrame]:
    """Follow one face through a clip.

    Smoothing reads five frames ahead, has no lag, follows fast movement and never reaches across a cut,
    a jump or a stretch in which the face is out of sight.

    Args:
        frames: the frames, in order of time; they are read once, and few are held at a time.
        face: whom to follow, as :func:`freeavatar.faces.find_faces` counts.
        box: drawn around the face on the first frame, which is followed instead, detected or not.
        smoothing: without it every frame is a picture of its own: the face of that rank by size in it, or the
            one in the box, whatever the other frames show.

    Yields:
        One result per frame, in order.

    Raises:
        FaceError: with ``smoothing``, there are faces but never as many as ``face`` asks for.
        InputError: ``face`` is negative, or ``box`` lies outside of the first frame.
    """
    if not smoothing and box is not None:
        for frame in frames:
            yield _describe(frame, find_drawn(frame.image, box))
        return
    if not smoothing:
        if face < 0:
            raise InputError("Face {} does not exist: faces are counted from 0, the largest; give 0 or more.", face)
        for frame in frames:
            found = detect_faces(frame.image)[face : face + 1]
            yield _describe(frame, refine_face(frame.image, found[0].points) or found[0] if found else None)
        return
    yield from _smoothed(frames, FaceTracker(face=face) if box is None else DrawnFaceTracker(box))


def track_face_at(frames: Iterable[Frame], frame: Frame, *, face: int = 0, box: Box | None = None) -> TrackedFrame:
    """Find the face that :func:`track_faces` would follow in one frame, without all those before it.

    Args:
        frames: the clip from its beginning; only as many are read as it takes to choose the face.
        frame: the frame in question, with its time in the clip.
        face: as for :func:`track_faces`.
        box: as for :func:`track_faces`.

    Raises:
        FaceError: there are faces but not as many as ``face`` asks for within a second of the first one.
        InputError: ``box`` lies outside of the first frame.
    """
    tracker = FaceTracker(face=face) if box is None else DrawnFaceTracker(box)
    for first in frames:
        found = tracker.update(first)
        if found is not None and abs(first.time - frame.time) < 1e-6:
            return _describe(first, found)
        if found is not None or first.time > PATIENCE:
            break
    tracker.close()
    return _describe(frame, tracker.update(frame))


def _smoothed(frames: Iterable[Frame], tracker: FaceTracker | DrawnFaceTracker) -> Iterator[TrackedFrame]:
    past: deque[_Sample] = deque(maxlen=LOOKAHEAD)
    waiting: deque[tuple[Frame, _Sample]] = deque()

    def release() -> TrackedFrame:
        frame, sample = waiting.popleft()
        result = _describe(
            frame, _smooth(sample, past, [later for _, later in waiting]),
            is_cut=bool(past) and None not in (past[-1].face, sample.face) and past[-1].piece != sample.piece,
        )  # fmt: skip
        past.append(sample)
        return result

    for frame in frames:
        found = tracker.update(frame)
        waiting.append((frame, _Sample(frame.time, tracker.breaks, found)))
        if len(waiting) > LOOKAHEAD:
            yield release()
    tracker.close()
    while waiting:
        yield release()


def _smooth(sample: _Sample, past: Sequence[_Sample], coming: Sequence[_Sample]) -> Face | None:
    """The sample's face with its points smoothed over the unbroken track around it."""
    if sample.face is None:
        return None

    def is_joined(other: _Sample) -> bool:
        return other.face is not None and other.piece == sample.piece

    before = list(takewhile(is_joined, reversed(past)))[::-1]
    run = [*before, sample, *takewhile(is_joined, coming)]
    points = np.array([each.face.points for each in run if each.face is not None])
    points = smooth_points(points, np.array([each.time for each in run]), len(before))
    return Face(sample.face.box, points, sample.face.score)


def _describe(frame: Frame, face: Face | None, *, is_cut: bool = False) -> TrackedFrame:
    if face is None:
        return TrackedFrame(frame.index, frame.time, None, 0.0, None, None)
    crop, head = crop_face(frame.image, face.points), head_pose(face.points)
    return TrackedFrame(frame.index, frame.time, face.points, face.score, crop, head, is_cut)
