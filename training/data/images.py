"""Images of any number of folders, zips and arrays, decoded once into memory-mapped luma crops.

An image has an id: its path, ``archive.zip::member``, or ``crops.npy::row``. Rows of arrays are read where
they lie; all others are decoded into one ``images_*.npy`` in a folder of caches, which the next run finds again.
"""

import hashlib
import logging
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from filelock import FileLock
from tqdm import tqdm

from freeavatar.errors import InputError
from freeavatar.faces import CROP_SIZE, crop_face, detect_faces, refine_face
from freeavatar.files import make_folder, replacing
from freeavatar.images import IMAGES, decode_image, is_image
from training.data.triplets import SEPARATOR, split_id

logger = logging.getLogger(__name__)

_CHUNK = 256
"""Images decoded between two looks at the progress."""
_TAIL = 4096
"""Bytes at the end of a file by which it is known."""


@dataclass(frozen=True, eq=False)
class ImagePool:
    """Luma crops of one size, by number."""

    ids: tuple[str, ...]
    """Where each image came from."""
    arrays: tuple[np.ndarray, ...]
    """Memory-mapped crops, each ``(N, S, S)`` uint8."""
    places: np.ndarray
    """Array and row of each image, ``(len(ids), 2)`` int64."""

    def __len__(self) -> int:
        return len(self.ids)

    def gather(self, index: np.ndarray) -> np.ndarray:
        """Crops of some images, ``(B, S, S)`` uint8."""
        places = self.places[index]
        if len(self.arrays) == 1:
            return self.arrays[0][places[:, 1]]
        return np.stack([self.arrays[array][row] for array, row in places])


def crop_size(view: int) -> int:
    """Side of the loose crops that views of ``view`` pixels are cut from: at most a third coarser than the view."""
    return CROP_SIZE * max(1, round(view * 6 / (5 * CROP_SIZE)))


def list_images(sources: Iterable[Path]) -> list[str]:
    """Ids of every image in folders (and folders within), zips and ``crops.npy`` arrays of renders.

    Raises:
        InputError: a source does not exist or holds no image.
    """
    return [name for source in sources for name in _list_one(source)]


def _list_one(source: Path) -> list[str]:
    arrays = source / "crops.npy" if source.is_dir() else source
    if arrays.suffix == ".npy" and arrays.is_file():
        return [f"{arrays}{SEPARATOR}{row}" for row in range(len(_open_array(arrays)))]
    if not source.exists():
        raise InputError("{} does not exist: give a folder or a zip of images.", source)
    if source.is_dir():
        found = [str(path) for path in sorted(source.rglob("*")) if is_image(path)]
    elif source.suffix.lower() == ".zip":
        with _open_zip(source) as archive:
            names = archive.namelist()
        found = [
            f"{source}{SEPARATOR}{name}" for name in sorted(names) if is_image(Path(name)) and "__MACOSX" not in name
        ]
    else:
        found = [str(source)] if is_image(source) else []
    if not found:
        raise InputError("{} holds no image: expected files ending in {}.", source, ", ".join(sorted(IMAGES)))
    return found


def open_images(ids: Sequence[str], *, cache: Path, size: int = CROP_SIZE, is_aligned: bool = True) -> ImagePool:
    """Open images, decoding those that no cache holds yet.

    Args:
        ids: from :func:`list_images`; an image may occur more than once.
        cache: folder of caches.
        size: side of the crops in pixels.
        is_aligned: the images are upright square crops with the loose margin. Else the largest face of each is
            found and cut out, and images without a face are left out; rows of arrays are aligned in any case.

    Raises:
        InputError: an image is missing, cannot be read, or is not square though aligned; or none is left.
    """
    sources = {name: _source(name) for name in ids}
    containers = sorted({path for path, _ in sources.values() if path.endswith(".npy")})
    arrays = {path: _open_array(Path(path)) for path in containers}
    direct = [path for path, array in arrays.items() if array.shape[1] == size]
    number = {path: k for k, path in enumerate(direct)}
    places = {
        name: (number[path], _row(path, member, arrays[path]))
        for name, (path, member) in sources.items()
        if path in number
    }
    files = [name for name in sources if name not in places]
    crops = [arrays[path] for path in direct]
    if files:
        decoded, found = _decoded(files, arrays, cache, size, is_aligned)
        places |= {name: (len(crops), k) for k, name in enumerate(files) if found[k]}
        crops.append(decoded)
    names = tuple(name for name in ids if name in places)
    if not names:
        raise InputError("none of the {} images shows a face: give photos of faces, or leave --align out.", len(ids))
    return ImagePool(names, tuple(crops), np.array([places[name] for name in names], np.int64))


def _source(name: str) -> tuple[str, str]:
    """File or container as text, and member or row; the member of a plain file is empty."""
    path, member = split_id(name)
    return str(path), member or ""


def _open_array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError("{} is no array of crops ({}): render the faces again.", path, error) from error
    if array.ndim != 3 or array.dtype != np.uint8 or array.shape[1] != array.shape[2] or not len(array):
        raise InputError(
            "{} has shape {}, {}: expected crops (N, {}, {}) uint8.",
            path,
            array.shape,
            array.dtype,
            CROP_SIZE,
            CROP_SIZE,
        )
    return array


def _row(path: str, member: str, array: np.ndarray) -> int:
    if not member.isdecimal() or int(member) >= len(array):
        raise InputError("{} has no row {!r}: it holds {} crops, counted from 0.", path, member, len(array))
    return int(member)


def fingerprints(ids: Sequence[str]) -> list[str]:
    """A line an image that says which it is: the same on another machine and in another folder.

    Files are known by name, size and their last bytes, members of zips by their checksum.
    """
    sources = [_source(name) for name in ids]
    known = {path: _contained(Path(path)) for path in {path for path, _ in sources}}
    return [f"{Path(path).name} {member} {known[path].get(member) or known[path].get('')}" for path, member in sources]


def _contained(path: Path) -> dict[str, str]:
    """What tells the members of a zip, by name, or under an empty name a file, from others."""
    try:
        if path.suffix.lower() == ".zip":
            with _open_zip(path) as archive:
                return {info.filename: f"{info.file_size} {info.CRC:08x}" for info in archive.infolist()}
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            return {"": f"{size} {hashlib.sha256(file.read()).hexdigest()}"}
    except (OSError, InputError):  # whoever reads it says so
        return {"": "gone"}


def _decoded(
    files: list[str], arrays: dict[str, np.ndarray], cache: Path, size: int, is_aligned: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Crops of the files, ``(N, S, S)`` uint8, and which of them show a face, ``(N,)`` bool."""
    key = hashlib.sha256("\n".join([f"{size} {is_aligned}", *fingerprints(files)]).encode()).hexdigest()[:16]
    paths = [make_folder(cache) / f"images_{key}{end}.npy" for end in ("", "_found")]
    with FileLock(cache / f"images_{key}.lock"):  # of several processes one decodes, the others wait for it
        if all(path.exists() for path in paths):
            return np.load(paths[0], mmap_mode="r"), np.load(paths[1])
        with replacing(paths[0]) as temporary:
            found = _decode_into(temporary, files, arrays, size, is_aligned)
            with replacing(paths[1]) as other, other.open("wb") as file:
                np.save(file, found)
        logger.info("decoded %d images into %s; %d show no face", len(files), paths[0], (~found).sum())
    return np.load(paths[0], mmap_mode="r"), np.load(paths[1])


def _decode_into(
    path: Path, files: list[str], arrays: dict[str, np.ndarray], size: int, is_aligned: bool
) -> np.ndarray:
    out = np.lib.format.open_memmap(path, "w+", np.uint8, (len(files), size, size))
    found = np.zeros(len(files), bool)
    images = _contents(files, arrays)
    progress = tqdm(total=len(files), desc="decoding images", disable=None)
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress:
        for start in range(0, len(files), _CHUNK):
            chunk = list(islice(images, _CHUNK))
            crops = pool.map(lambda item: _crop(item[0], item[1], size, is_aligned), chunk)
            for k, crop in enumerate(crops, start):
                if crop is not None:
                    out[k], found[k] = crop, True
            progress.update(len(chunk))
    out.flush()
    return found


def _contents(files: list[str], arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, bytes | np.ndarray]]:
    """Every image's name, with its bytes or, out of an array, its pixels."""
    with ExitStack() as stack:
        archives: dict[str, zipfile.ZipFile] = {}
        for name in files:
            path, member = _source(name)
            if path in arrays:
                yield name, arrays[path][_row(path, member, arrays[path])]
            elif member:
                if path not in archives:
                    archives[path] = stack.enter_context(_open_zip(Path(path)))
                yield name, _read_member(archives[path], member, path)
            else:
                yield name, _read_file(Path(path))


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError("{} is not a readable zip ({}): make it again, without a password.", path, error) from error


def _read_member(archive: zipfile.ZipFile, member: str, path: str) -> bytes:
    try:
        return archive.read(member)
    except KeyError as error:
        raise InputError("{} has no image {!r}: take labels and images from one place.", path, member) from error
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise InputError("{}::{} cannot be read ({}): make the zip again.", path, member, error) from error


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError("the image {} cannot be read ({}): give images that exist.", path, error.strerror) from error


def _crop(name: str, content: bytes | np.ndarray, size: int, is_aligned: bool) -> np.ndarray | None:
    """Luma crop ``(S, S)`` uint8; None if the image shows no face."""
    if isinstance(content, np.ndarray):
        return _resized(content, size)
    image = decode_image(content, name)
    if not is_aligned:
        faces = detect_faces(image)
        if not faces:
            return None
        face = refine_face(image, faces[0].points) or faces[0]
        image = crop_face(image, face.points, size=size)
    elif image.shape[0] != image.shape[1]:
        raise InputError("{} is {} x {}: aligned crops are square; use --align.", name, image.shape[1], image.shape[0])
    return _resized(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size)


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    if image.shape[0] == size:
        return image
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_CUBIC)
