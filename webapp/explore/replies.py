"""Values as the Explore page reads them."""

import base64
from collections.abc import Sequence

import numpy as np

from webapp.common.replies import Reply

_MOST_CATEGORIES = 20


def packed(array: np.ndarray) -> str:
    """An array's bytes in base64: a page reads 50,000 points at once, where JSON's numbers take a second."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def number(value: float) -> float | None:
    """A figure, rounded; None where there is none."""
    return None if np.isnan(value) else round(float(value), 4)


def words_column(name: str, words: Sequence[str]) -> Reply | None:
    """A column of categories, the most frequent first; None if nothing is known.

    An unknown category has an empty name, and all the rare ones together have None.
    """
    found, codes, counts = np.unique(np.array(words, dtype=object).astype(str), return_inverse=True, return_counts=True)
    if not len(words) or list(found) == [""]:
        return None
    order = np.lexsort((found, -counts)) if name != "cluster" else np.argsort([int(w) for w in found])
    kept = order[:_MOST_CATEGORIES]
    rank = np.full(len(found), len(kept), np.int64)
    rank[kept] = np.arange(len(kept))
    names: list[str | None] = [str(found[k]) for k in kept] + ([None] if len(found) > len(kept) else [])
    return {"name": name, "kind": "words", "names": names, "values": packed(rank[codes].astype(np.uint8))}


def number_column(name: str, values: np.ndarray) -> Reply | None:
    """A column of numbers; None if nothing is known."""
    if not np.isfinite(values).any():
        return None
    return {"name": name, "kind": "number", "values": packed(values.astype(np.float32))}
