"""Output files: written beside their place under a temporary name, then moved into it."""

import base64
import hashlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import cv2
import numpy as np

from freeavatar.errors import FreeAvatarError, InputError


def make_folder(folder: Path) -> Path:
    """Make a folder, and those above it, if it does not exist.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("cannot make the folder {} ({}): choose another.", folder, error.strerror) from error
    return folder


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of ``path`` if the block succeeds.

    If the block fails, ``path`` is what it was before and the temporary file is gone.

    Raises:
        InputError: the file cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except FreeAvatarError:
        raise
    except Exception as error:
        # Libraries tell of a full disk in exceptions of their own; the temporary file still fills it.
        if _is_full(path.parent):
            raise InputError("the disk of {} is full: make room there, then do it again.", path) from error
        if not isinstance(error, OSError):
            raise
        raise InputError(
            "cannot write {} ({}): choose a file in a folder that exists and is writable.", path, error.strerror
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _is_full(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free < 2**16


def write_png(image: np.ndarray, path: Path) -> None:
    """Write an image ``(H, W, 3)`` uint8 RGB, or ``(H, W, 4)`` with straight alpha, as PNG.

    Raises:
        InputError: the file cannot be written.
    """
    code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    _, data = cv2.imencode(".png", cv2.cvtColor(image, code))
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())


def content_id(path: Path) -> str:
    """Sixteen hex digits of what a file holds, as :func:`file_digest` has it."""
    return file_digest(path)[:16]


def file_digest(path: Path) -> str:
    """Sha256 of what a file holds, in hex digits; it is read again only if its size or time changed.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    return _file_digest(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _file_digest(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_url(mime: str, data: bytes) -> str:
    """A file as a ``data:`` URL, for pages."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not."""
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False
