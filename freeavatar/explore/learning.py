"""Packages that maps take and animating does not."""

from collections.abc import Iterator
from contextlib import contextmanager

from freeavatar.errors import InputError


@contextmanager
def explaining_imports() -> Iterator[None]:
    """Turn a missing package into an InputError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            "maps take scikit-learn and umap-learn, and {} is not installed: install requirements.txt or the extra "
            "`explore`.",
            error.name,
        ) from error
