"""Where what a user makes lives."""

import os
from pathlib import Path

import platformdirs

from freeavatar.files import make_folder


def home() -> Path:
    """``$FREEAVATAR_HOME``, or the platform's folder for user data; made if it does not exist.

    Raises:
        InputError: it cannot be made.
    """
    return make_folder(_home())


def avatars_folder() -> Path:
    """Where avatars that a user added are kept, one folder each; it may not exist yet."""
    return _home() / "avatars"


def bundles_folder() -> Path:
    """Where bundles of weights are kept, one folder each; it may not exist yet."""
    return _home() / "bundles"


def runs_folder() -> Path:
    """Where training runs are kept, one folder each; it may not exist yet."""
    return _home() / "runs"


def _home() -> Path:
    return Path(os.environ.get("FREEAVATAR_HOME") or platformdirs.user_data_dir("freeavatar")).expanduser()
