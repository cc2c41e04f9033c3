"""Who is in a clip: the faces that ``--face`` counts, with a picture of each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeavatar.faces import crop_face, find_faces
from freeavatar.pipeline.sources import open_source


@dataclass(frozen=True, eq=False)
class Person:
    """One of the people in a clip."""

    index: int
    """What ``--face`` and :attr:`freeavatar.pipeline.AnimateOptions.face` call them: 0 is the largest face."""
    second: float
    """Second of the input at which they were seen first."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of the face, in pixels of the frame."""
    thumbnail: np.ndarray
    """The face, RGB ``(144, 144, 3)`` uint8."""


def find_people(path: str | Path, *, start: float = 0.0, end: float | None = None) -> list[Person]:
    """People who can be followed from a moment on: those seen within a second of the first face.

    Args:
        path: a video, an image or a folder of images.
        start: second of the input at which to begin, as in the options of the run.
        end: second of the input before which to stop.

    Returns:
        In the order ``face`` counts them; empty if no face is found in the first five seconds.

    Raises:
        InputError, VideoError: the input cannot be read.
    """
    source = open_source(Path(path), start=start, end=end)
    return [
        Person(k, float(source.offset) + frame.time, face.box, crop_face(frame.image, face.points))
        for k, (frame, face) in enumerate(find_faces(source))
    ]
