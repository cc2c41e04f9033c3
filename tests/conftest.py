"""Shared fixtures: the committed example clip, and tiny weights made on the spot."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import numpy as np
import pytest

from freeavatar.video import VideoReader
from tests.files import ROOT, write_clip


@pytest.fixture(autouse=True)
def user_home(tmp_path_factory, monkeypatch) -> Path:
    """A fresh ``$FREEAVATAR_HOME`` for every test."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FREEAVATAR_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def actor_clip() -> Path:
    """The committed driving clip: 640 x 480, 25 frames a second, one face."""
    return ROOT / "examples" / "actor.mp4"


@pytest.fixture(scope="session")
def actor_frames(actor_clip) -> list[np.ndarray]:
    """Ten frames of it, from neutral (0) to a broad smile (9)."""
    frames = [frame.image for frame, _ in zip(VideoReader(actor_clip), range(38), strict=False)]
    return frames[::4][:9] + [frames[37]]


@pytest.fixture(scope="session")
def short_clip(actor_frames, tmp_path_factory) -> Path:
    """A clip of ten frames, neutral to smile."""
    return write_clip(tmp_path_factory.mktemp("clips") / "short.mp4", actor_frames)
