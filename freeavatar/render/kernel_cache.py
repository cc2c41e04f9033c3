"""Where numba keeps compiled kernels: a folder for every state of this package's code.

By itself numba looks whether the file of a kernel changed, and not those of the kernels that it calls: after an update
old code would go on running.
"""

import hashlib
import os
from pathlib import Path

import numba
import platformdirs


def kernels_folder(sources: Path = Path(__file__).parent) -> Path:
    """The folder for kernels of the modules in ``sources``; it may not exist yet."""
    digest = hashlib.sha256()
    for path in sorted(sources.rglob("*.py")):
        digest.update(path.read_bytes())
    return Path(platformdirs.user_cache_dir("freeavatar")) / "kernels" / digest.hexdigest()[:12]


def use_kernels_folder() -> None:
    """Let numba keep kernels that are defined from now on there, unless ``NUMBA_CACHE_DIR`` says otherwise."""
    if not os.environ.get("NUMBA_CACHE_DIR"):
        numba.config.CACHE_DIR = str(kernels_folder())  # type: ignore[attr-defined]
