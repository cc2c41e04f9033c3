"""Fixtures of the tests of training."""

from pathlib import Path

import pytest

from freeavatar.avatars import load_avatar


@pytest.fixture(scope="module")
def identities(tmp_path_factory) -> Path:
    """Three of the default avatar, under names of their own."""
    folder = tmp_path_factory.mktemp("avatars")
    for name in "abc":
        (folder / f"{name}.glb").write_bytes(load_avatar("ines").path.read_bytes())
    return folder
