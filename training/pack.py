"""Pack training data into parts small enough to carry to a machine with a GPU, and unpack them there.

    python -m training.pack FACES RENDERS PORTRAITS --out PARTS --mib 38
    python -m training.pack PARTS --out DATA --is-unpacking

Packed are folders with images.zip and labels.csv, and those of ``training.render_faces`` and
``training.render_portraits``. Pictures are stored as WebP, a third of their size and a little softer; all else as it
is. ``DATA/NAME`` is then what ``NAME`` was.
"""

import logging
import os
import sys
import zipfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import tyro

from freeavatar.errors import FreeAvatarError, InputError

logger = logging.getLogger(__name__)

ARCHIVE = "images.zip"
_STACKS = {"crops.npy": cv2.IMREAD_GRAYSCALE, "pictures.npy": cv2.IMREAD_COLOR_RGB}
_LEFT_OUT = ("frames.npy",)
_AHEAD = 256


@dataclass(frozen=True)
class PackConfig:
    """What to pack, or where the parts lie."""

    sources: tyro.conf.Positional[tuple[Path, ...]]
    """Folders to pack; or the one folder of parts to unpack."""
    out: Path
    """Folder of the parts, or of what is unpacked."""
    mib: float = 38.0
    """Largest part, in MiB."""
    quality: int = 70
    """WebP's, from 1 to 100."""
    is_unpacking: bool = False

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("nothing to pack: name folders")


def pack(config: PackConfig) -> list[Path]:
    """Write ``part_00.zip`` and on, and return them.

    Raises:
        InputError: a source is no folder, or a picture cannot be read.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    parts: list[Path] = []
    archive, left = None, 0.0
    for name, data, is_picture in _members(config):
        if archive is None or len(data) > left:
            if archive is not None:
                archive.close()
            parts.append(config.out / f"part_{len(parts):02d}.zip")
            archive, left = zipfile.ZipFile(parts[-1], "w"), config.mib * 2**20 - 4096
        before = archive.fp.tell()  # type: ignore[union-attr]
        archive.writestr(name, data, zipfile.ZIP_STORED if is_picture else zipfile.ZIP_DEFLATED)
        # A member costs its name twice and 76 bytes besides.
        left -= archive.fp.tell() - before + len(name) + 46  # type: ignore[union-attr]
    if archive is not None:
        archive.close()
    return parts


def _members(config: PackConfig) -> Iterator[tuple[str, bytes, bool]]:
    """Name, content, and whether it is a picture, of all that is packed."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for folder in config.sources:
            if not folder.is_dir():
                raise InputError("{} is no folder: name folders of faces, renders or portraits.", folder)
            for path in sorted(folder.iterdir()):
                prefix = f"{folder.name}/{path.name}"
                if path.name in _LEFT_OUT or not path.is_file():
                    continue
                if path.name == ARCHIVE or path.name in _STACKS:
                    waiting: deque = deque()
                    pictures = _archived(path) if path.name == ARCHIVE else _stacked(path)
                    for name, picture in pictures:
                        waiting.append((name, pool.submit(_encode, picture, config.quality)))
                        if len(waiting) >= _AHEAD:
                            done, future = waiting.popleft()
                            yield f"{prefix}/{done}", future.result(), True
                    for done, future in waiting:
                        yield f"{prefix}/{done}", future.result(), True
                else:
                    yield prefix, path.read_bytes(), False
                logger.info("packed %s", path)


def _archived(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)


def _stacked(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    for row, picture in enumerate(np.load(path, mmap_mode="r")):
        yield f"{row:06d}", picture


def _encode(picture: bytes | np.ndarray, quality: int) -> bytes:
    if isinstance(picture, bytes):
        decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise InputError("an image of an archive cannot be read: make {} again.", ARCHIVE)
        picture = cv2.cvtColor(decoded, cv2.COLOR_BGR2GRAY)
    elif picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def unpack(config: PackConfig) -> None:
    """Write back what the parts hold, under ``config.out``.

    Raises:
        InputError: there are no parts.
    """
    parts = [path for folder in config.sources for path in sorted(folder.glob("part_*.zip"))]
    if not parts:
        raise InputError("{} holds no part_00.zip: give the folder that training.pack wrote.", config.sources[0])
    stacks: dict[Path, list[tuple[zipfile.ZipFile, str]]] = {}
    faces: dict[Path, zipfile.ZipFile] = {}
    archives = [zipfile.ZipFile(path) for path in parts]
    for archive in archives:
        for name in archive.namelist():
            folder, file, *rest = PurePosixPath(name).parts
            target = config.out / folder / file
            if not rest:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
            elif file == ARCHIVE:
                target.parent.mkdir(parents=True, exist_ok=True)
                opened = faces.get(target) or faces.setdefault(target, zipfile.ZipFile(target, "w"))
                opened.writestr("/".join(rest), archive.read(name))
            else:
                stacks.setdefault(target, []).append((archive, name))
    for opened in faces.values():
        opened.close()
    for target, members in stacks.items():
        _write_stack(target, sorted(members, key=lambda member: member[1]))
    for archive in archives:
        archive.close()


def _write_stack(target: Path, members: list[tuple[zipfile.ZipFile, str]]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        contents = (archive.read(name) for archive, name in members)
        decode = partial(_decode, flags=_STACKS[target.name])
        first = decode(members[0][0].read(members[0][1]))
        out = np.lib.format.open_memmap(target, "w+", np.uint8, (len(members), *first.shape))
        row = 0
        while chunk := list(islice(contents, 4096)):
            for picture in pool.map(decode, chunk):
                out[row] = picture
                row += 1
        out.flush()


def _decode(data: bytes, flags: int) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    assert picture is not None  # it was written by pack
    return picture


def main() -> None:
    """Pack or unpack, as the command line says."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = tyro.cli(PackConfig, description=__doc__)
    try:
        if config.is_unpacking:
            unpack(config)
        else:
            for path in pack(config):
                print(f"{path}  {path.stat().st_size / 2**20:.1f} MiB")
    except FreeAvatarError as error:
        sys.exit(f"training.pack: {error}")


if __name__ == "__main__":
    main()
