"""Runs: one folder an animation, under an id that nobody can guess and that is its link."""

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from freeavatar.animations import DAYS, animations_folder, find_animation, make_animation
from freeavatar.errors import InputError
from freeavatar.files import make_folder, replacing

_FILE = "run.json"


@dataclass(frozen=True)
class Run:
    """What is stored of an animation; paths are relative to its folder."""

    id: str
    avatars: tuple[str, ...]
    settings: dict[str, Any]
    """Values of the page's controls by name."""
    take: str
    files: dict[str, dict[str, str]]
    """Per avatar: ``csv``, ``json``, ``glb``, ``vrma``; ``usd``, and ``avatar``, the video of it alone, if asked for;
    ``video`` of a single one, and in runs made before of each."""
    combined: str | None = None
    """Actor and all avatars in a row, if there are several."""
    frames: int = 0
    frames_without_face: int = 0
    seconds: float = 0.0
    """How long it took."""
    made: float = field(default_factory=time.time)

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return animations_folder() / self.id

    @property
    def video(self) -> Path:
        """The side-by-side video to show first."""
        return self.folder / (self.combined or self.files[self.avatars[0]]["video"])

    @property
    def stem(self) -> str:
        """Name of the input, without its ending."""
        return self.take.split(".take.")[0]

    @property
    def profile(self) -> Path:
        """The actor's neutral, to be used again; it may not exist."""
        return self.folder / f"{self.stem}_profile.json"

    @property
    def zip(self) -> Path:
        """All downloads in one file."""
        return self.folder / f"{self.stem}.zip"

    @property
    def downloads(self) -> list[Path]:
        """Every file to take home."""
        names = [name for files in self.files.values() for name in files.values()]
        combined = [self.combined] if self.combined else []
        profile = [self.profile] if self.profile.exists() else []
        return [*(self.folder / name for name in (*names, *combined)), *profile]

    @property
    def kept_until(self) -> float:
        """When it may be deleted, seconds since 1970."""
        return self.made + DAYS * 86400

    def save(self) -> None:
        """Write it to its folder.

        Raises:
            InputError: the file cannot be written.
        """
        with replacing(self.folder / _FILE) as temporary:
            temporary.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")


def load_run(id: Any) -> Run:
    """Read a run by its id.

    Raises:
        InputError: there is none, or no longer.
    """
    folder = find_animation(id) if isinstance(id, str) else None
    try:
        if folder is None:
            raise ValueError(id)
        data = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return Run(**{**data, "id": folder.name, "avatars": tuple(data["avatars"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            "there is no animation under this link: animations are deleted after {} days; animate the video again.",
            DAYS,
        ) from error


def new_run(video: Path) -> tuple[Path, Path]:
    """Make the folder of a new run, and put the input in it.

    Returns:
        The folder, and where the input now lies.

    Raises:
        InputError: it cannot be made, or not be copied to.
    """
    folder = make_animation()
    copy = make_folder(folder / "input") / video.name
    try:
        with suppress(OSError):
            os.link(video, copy)
        if not copy.exists():
            shutil.copyfile(video, copy)
    except OSError as error:
        discard(folder)
        raise InputError("the video cannot be kept ({}): free some space and try again.", error.strerror) from error
    return folder, copy


def discard(folder: Path) -> None:
    """Delete a run that did not finish, with everything in its folder."""
    if not (folder / _FILE).exists():
        shutil.rmtree(folder, ignore_errors=True)
