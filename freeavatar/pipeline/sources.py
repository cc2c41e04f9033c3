"""What can be animated or embedded: a video, an image, a folder or a zip of images."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from freeavatar.errors import InputError
from freeavatar.images import IMAGES, Frame, decode_image, is_image, read_image
from freeavatar.video import LARGEST, VideoReader

FOLDER_RATE = Fraction(30)
"""Rate at which the images of a folder follow one another."""


def images_in(folder: Path) -> list[Path]:
    """Images of a folder, sorted by name.

    Raises:
        InputError: it holds none.
    """
    paths = sorted(p for p in folder.iterdir() if p.is_file() and is_image(p))
    if not paths:
        raise InputError("{} holds no image: expected files ending in {}.", folder, ", ".join(sorted(IMAGES)))
    return paths


@dataclass(frozen=True)
class Source:
    """Frames to animate, iterable any number of times."""

    path: Path
    size: tuple[int, int]
    """``(H, W)`` of the first frame."""
    rate: Fraction
    frames: int | None
    """How many there are; None if the file does not say."""
    kind: str
    """``video``, ``image`` or ``folder``."""
    has_audio: bool = False
    start: float = 0.0
    """Second at which to begin."""
    end: float | None = None
    """Second before which to stop; None is the end."""
    offset: Fraction = Fraction(0)
    """Time of the first frame given, seconds of the input; frames' times count from there."""

    @property
    def stem(self) -> str:
        """What results are named after."""
        return self.path.resolve().name if self.kind == "folder" else self.path.stem

    def __iter__(self) -> Iterator[Frame]:
        return self.within(LARGEST)

    def within(self, largest: int) -> Iterator[Frame]:
        """The frames; those of a video scaled down as they are decoded, where their long side is over ``largest``."""
        if self.kind == "video":
            yield from VideoReader(self.path, start=self.start, end=self.end, largest=largest)
            return
        paths = [self.path] if self.kind == "image" else images_in(self.path)
        for index, path in enumerate(paths[_places(len(paths), self.start, self.end)]):
            yield Frame(index, float(index / self.rate), read_image(path))

    def frame_at(self, second: float) -> Frame:
        """The frame on screen at a second of the input; little more than that is decoded.

        Raises:
            InputError, VideoError: it cannot be read any more.
        """
        if self.kind == "video":
            return VideoReader(self.path).frame_at(second)
        paths = [self.path] if self.kind == "image" else images_in(self.path)
        index = min(max(math.floor(second * self.rate + 1e-3), 0), len(paths) - 1)
        return Frame(index, float(index / self.rate), read_image(paths[index]))


def open_source(path: Path, *, start: float = 0.0, end: float | None = None) -> Source:
    """Look at an input of ``animate``.

    Args:
        path: a video, an image or a folder of images.
        start: second at which to begin.
        end: second before which to stop; default the end.

    Raises:
        InputError: it does not exist, is neither a video nor images, or has no frame in that range.
        VideoError: the video cannot be read.
    """
    if not path.exists():
        raise InputError("{} does not exist: give a video, an image or a folder of images.", path)
    if path.is_dir() or is_image(path):
        paths = images_in(path) if path.is_dir() else [path]
        kind, places = "folder" if path.is_dir() else "image", _places(len(paths), start, end)
        chosen = paths[places]
        if not chosen:
            length = float(len(paths) / FOLDER_RATE)
            raise InputError("{} shows nothing from second {:g} on: it ends at {:.2f} s.", path.name, start, length)
        height, width = read_image(chosen[0]).shape[:2]
        offset = Fraction(places.start, FOLDER_RATE)
        return Source(path, (height, width), FOLDER_RATE, len(chosen), kind, False, start, end, offset)
    reader = VideoReader(path, start=start, end=end)
    info = reader.info
    return Source(path, info.size, info.rate, info.frames, "video", info.has_audio, start, end, reader.offset)


def _places(count: int, start: float, end: float | None) -> slice:
    """Which of ``count`` images, a frame apart, lie in a range of seconds."""
    first, last = (math.ceil(second * FOLDER_RATE - 1e-3) for second in (start, count if end is None else end))
    return slice(first, last)


def named_images(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every image of an input of ``embed``, with its path: ``clip.mp4#12`` for a frame of a video.

    Raises:
        InputError: as :func:`open_source`, or a damaged zip.
    """
    if path.suffix.lower() == ".zip":
        yield from _zipped_images(path)
    elif path.is_dir():
        for item in images_in(path):
            yield str(item), read_image(item)
    elif is_image(path):
        yield str(path), read_image(path)
    else:
        for frame in open_source(path):
            yield f"{path}#{frame.index}", frame.image


def _zipped_images(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(n for n in archive.namelist() if is_image(Path(n)) and "__MACOSX" not in n)
            for name in names:
                yield name, decode_image(archive.read(name), f"{path}/{name}")
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise InputError("{} is not a readable zip ({}): make it again, without a password.", path, error) from error
    if not names:
        raise InputError("{} holds no image: expected files ending in {}.", path, ", ".join(sorted(IMAGES)))
