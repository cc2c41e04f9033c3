"""Pictures out of whatever a researcher has: folders, zips, videos, single files."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.images import decode_image, is_image, read_image
from freeavatar.video import VideoReader

MAX_IMAGE_BYTES = 64 * 2**20
"""Largest image file read from a zip."""
MAX_ZIP_BYTES = 4 * 2**30
"""A zip that says it unpacks to more is refused."""
_UNPACKING = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, NotImplementedError)
"""What a damaged member of a zip raises."""
_VIDEO_RATE = 4.0
"""Frames looked at per second of video."""


@dataclass(frozen=True)
class Picture:
    """One picture, or the reason why there is none."""

    name: str
    image: np.ndarray | None
    """RGB, ``(H, W, 3)`` uint8, upright."""
    failure: str = ""
    clip: str = ""
    """The video it is a frame of."""
    folder: str = ""
    """Name of the folder it lies in."""


def read_pictures(path: Path) -> Iterator[Picture]:
    """Every picture below a folder, in a zip or a video; what cannot be read is named and passed over.

    Raises:
        InputError: the path does not exist, or is a zip that is damaged or unpacks to too much.
        VideoError: the video cannot be read.
    """
    if not path.exists():
        raise InputError("{} does not exist: give a folder, a zip, a video, an image or a FEC CSV.", path)
    if path.is_dir():
        for item in sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")):
            yield from _below(item)
    elif path.suffix.lower() == ".zip":
        yield from _zipped(path)
    elif is_image(path):
        yield _attempt(str(path), path.parent.name, lambda: read_image(path))
    else:
        yield from _frames(path)


def _below(item: Path) -> Iterator[Picture]:
    if is_image(item):
        yield _attempt(str(item), item.parent.name, lambda: read_image(item))
    elif item.suffix.lower() in {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"}:
        try:
            yield from _frames(item)
        except FreeAvatarError as error:
            yield Picture(str(item), None, str(error))


def _attempt(name: str, folder: str, read) -> Picture:
    try:
        return Picture(name, read(), folder=folder)
    except InputError as error:
        return Picture(name, None, str(error))
    except cv2.error as error:  # a header that promises more pixels than OpenCV takes
        return Picture(name, None, f"{name} is not a readable image ({error.err}): scale it down, or save it again.")


def _zipped(path: Path) -> Iterator[Picture]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if is_image(Path(m.filename)) and "__MACOSX" not in m.filename]
            total = sum(member.file_size for member in members)
            if total > MAX_ZIP_BYTES:
                raise InputError(
                    "{} unpacks to {:.1f} GB, more than the {:g} GB taken at once: split it, or unpack it and give "
                    "the folder; nothing was imported from it.",
                    path,
                    total / 2**30,
                    MAX_ZIP_BYTES / 2**30,
                )
            for member in sorted(members, key=lambda member: member.filename):
                yield _member(archive, member, path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError("{} is not a readable zip ({}): make it again.", path, error) from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Picture:
    name = f"{path}/{member.filename}"
    try:
        with archive.open(member) as file:
            data = file.read(MAX_IMAGE_BYTES + 1)  # a header may lie about the size
    except _UNPACKING as error:
        return Picture(name, None, f"{name} cannot be unpacked ({error}): make the zip again, without a password.")
    if len(data) > MAX_IMAGE_BYTES:
        return Picture(name, None, f"{name} is larger than {MAX_IMAGE_BYTES / 2**20:g} MB: scale it down.")
    return _attempt(name, Path(member.filename).parent.name, lambda: decode_image(data, name))


def _frames(path: Path) -> Iterator[Picture]:
    due = 0.0
    for frame in VideoReader(path):
        if frame.time >= due:
            due = frame.time + 1 / _VIDEO_RATE
            yield Picture(f"{path}#{frame.index}", frame.image, clip=str(path), folder=path.parent.name)
