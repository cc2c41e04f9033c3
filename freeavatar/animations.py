"""The folders of the app's animations: made for each run, deleted when they are old."""

import logging
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from freeavatar.files import make_folder
from freeavatar.paths import home

DAYS = 30
"""How long the app keeps an animation."""

_log = logging.getLogger(__name__)
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6,32}")


def animations_folder() -> Path:
    """Where animations are kept, one folder each; it may not exist yet."""
    return home() / "animations"


def make_animation() -> Path:
    """A new folder for one animation, under a name that nobody can guess.

    Raises:
        InputError: it cannot be made.
    """
    return make_folder(animations_folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid4().hex}")


def find_animation(name: str) -> Path | None:
    """The folder of a run by its name, which may come from a link; None if there is none."""
    folder = animations_folder() / name
    return folder if _RUN.fullmatch(name) and folder.is_dir() and not folder.is_symlink() else None


def prune_animations(days: float = DAYS) -> list[str]:
    """Delete animations that nothing was written to for so long; nothing else is touched.

    Args:
        days: younger ones stay.

    Returns:
        Names of those deleted.
    """
    limit = time.time() - days * 86400
    gone = []
    for folder in sorted(animations_folder().glob("*")):
        if find_animation(folder.name) is None or _touched(folder) >= limit:
            continue
        try:
            shutil.rmtree(folder)
            gone.append(folder.name)
        except OSError as error:
            _log.warning("The old animation %s cannot be deleted: %s.", folder, error.strerror)
    return gone


def _touched(folder: Path) -> float:
    """When anything in a folder was last written, seconds since 1970."""
    times = [folder.stat().st_mtime]
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a temporary file that is gone again
            times.append(path.stat().st_mtime)
    return max(times)
