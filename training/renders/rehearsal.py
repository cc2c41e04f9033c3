"""Faces to rehearse with and to validate on, and portraits, from what ships: the built-in avatars, with known rigs.

    python -m training.renders.rehearsal --count 240
    python -m training.renders.rehearsal --count 24   # under a minute

Rendered once and kept in ``$FREEAVATAR_HOME/renders``. The validation faces are drawn from another seed, natural,
every rig on four avatars; nothing is trained on them.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
import tyro

from freeavatar.avatars import builtin_avatars, load_avatar
from freeavatar.files import make_folder
from freeavatar.paths import home
from freeavatar.rig import ARKIT
from training.data.rigs import RigSampler
from training.engine.loop import enter
from training.renders.faces import RenderConfig, render_rigs
from training.renders.portraits import PortraitConfig, render_portraits

logger = logging.getLogger(__name__)

VALIDATION = 120
"""Faces of the shipped validation set."""
REPEATS = 4
"""Avatars that show each rig."""
_VERSION = 2
"""Of what is drawn: faces of another version are rendered again."""


@dataclass(frozen=True)
class RehearsalConfig:
    """How many faces."""

    count: int = 240
    """To rehearse with."""
    validation: int = VALIDATION
    """To validate on."""
    portraits: bool = False
    """Draw the cast from the front as well, as refitting the rig decoder needs it."""

    def __post_init__(self) -> None:
        if min(self.count, self.validation) < REPEATS:
            raise ValueError(f"count is {self.count} and validation {self.validation}, expected at least {REPEATS}")


def rehearsal_folder(count: int) -> Path:
    """Where faces to rehearse with are kept; it exists if they were rendered."""
    return home() / "renders" / f"rehearsal-{_VERSION}-{count}"


def render_rehearsal(count: int) -> Path:
    """Faces to rehearse with, rendered if they are missing: a folder as ``training.render_faces`` writes it."""
    folder = rehearsal_folder(count)
    if not folder.exists():
        render_faces_of_the_cast(folder, count, seed=1)
    return folder


def render_validation(count: int = VALIDATION) -> Path:
    """The validation faces, rendered if they are missing: a folder as ``training.render_faces`` writes it."""
    folder = home() / "renders" / f"validation-{_VERSION}-{count}"
    if not folder.exists():
        render_faces_of_the_cast(folder, count, seed=2)
    return folder


def portraits_folder() -> Path:
    """Where the cast's portraits are kept; it exists if they were rendered."""
    return home() / "renders" / f"portraits-{_VERSION}"


def render_cast() -> Path:
    """The cast's neutral faces, mouths and eyes, rendered if they are missing: a folder as
    ``training.render_portraits`` writes it, with a picture each."""
    folder = portraits_folder()
    if not folder.exists():
        with _making(folder) as made:
            render_portraits(PortraitConfig(made, each_cast=1))
    return folder


@contextmanager
def _making(folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes ``folder`` once all is there, unless somebody else was quicker."""
    made = make_folder(folder.parent) / f".{folder.name}-{uuid4().hex[:8]}"
    try:
        yield made
        if not folder.exists():
            os.replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def render_faces_of_the_cast(folder: Path, count: int, *, seed: int) -> None:
    """Render faces of the built-in avatars with known rigs into a new folder, each rig on several avatars."""
    avatars = [avatar.path for name in builtin_avatars() if (avatar := load_avatar(name)).is_arkit]
    rng = np.random.default_rng([1, seed])
    numbers = _shared_rigs(count, rng)
    sampler = RigSampler(np.zeros((1, len(ARKIT)), np.float32))
    rigs = np.stack([sampler.draw(rng) for _ in range(numbers.max() + 1)])
    turns = [avatars[k * len(avatars) // count] for k in range(count)]
    with _making(folder) as made:
        config = RenderConfig(avatars[0].parent, made, count=count)
        render_rigs(turns, lambda k: rigs[numbers[k]], config, rng)
        np.save(made / "expressions.npy", numbers)


def _shared_rigs(count: int, rng: np.random.Generator) -> np.ndarray:
    """Number of the rig of each face, ``(count,)`` int32; each comes back on :data:`REPEATS` avatars."""
    draws = -(-count // REPEATS)
    blocks = [rng.permutation(draws) for _ in range(REPEATS)]
    return np.concatenate(blocks)[:count].astype(np.int32)


def main(config: RehearsalConfig) -> None:
    """Render what is missing and say where it is."""
    folders = [render_rehearsal(config.count), render_validation(config.validation)]
    for folder in [*folders, render_cast()] if config.portraits else folders:
        logger.info("%s", folder)


if __name__ == "__main__":
    torch.set_num_threads(1)
    enter(lambda: main(tyro.cli(RehearsalConfig, description=__doc__)))
