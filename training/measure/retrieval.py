"""A picture of what lies near what in the expression space."""

from dataclasses import dataclass

import cv2
import numpy as np

from training.measure.figures import nearest

CELL = 112
"""Side of a face in pixels."""
NEIGHBOURS = 6
"""Faces shown of each domain."""
QUERIES = 8
"""Faces asked about, of each domain."""
GAP = 14
"""Pixels between the parts of a row."""


@dataclass(frozen=True)
class Gallery:
    """Faces of one domain."""

    crops: np.ndarray
    """Luma, ``(N, S, S)`` uint8."""
    embedding: np.ndarray
    """``(N, D)``."""
    persons: np.ndarray
    """Person or avatar of each, ``(N,)``: a neighbour is always another's."""
    classes: np.ndarray
    """Expression of each, ``(N,)``: those asked about are drawn over all of them."""


def draw_sheet(real: Gallery, rendered: Gallery, *, seed: int = 0) -> np.ndarray:
    """Rows of a face, its nearest real faces and its nearest renders, of other people.

    Returns:
        ``(H, W, 3)`` uint8 RGB, the asked-about face at the left of its row.
    """
    rng = np.random.default_rng(seed)
    rows = [_row(source, k, real, rendered) for source in (real, rendered) for k in _queries(source.classes, rng)]
    header = np.full((28, rows[0].shape[1]), 255, np.uint8)
    for x, text in ((4, "asked"), (_left(1), "nearest real faces"), (_left(1 + NEIGHBOURS, 2), "nearest renders")):
        cv2.putText(header, text, (x, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1, cv2.LINE_AA)
    return cv2.cvtColor(np.concatenate([header, *rows]), cv2.COLOR_GRAY2RGB)


def _left(cells: int, gaps: int = 1) -> int:
    return cells * CELL + gaps * GAP


def _queries(classes: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Rows to ask about, the classes in turn."""
    pools = [rng.permutation(np.flatnonzero(classes == name)) for name in np.unique(classes)]
    turns = [int(pool[k]) for k in range(QUERIES) for pool in pools if k < len(pool)]
    return turns[:QUERIES]


def _row(source: Gallery, query: int, real: Gallery, rendered: Gallery) -> np.ndarray:
    gap = np.full((CELL, GAP), 255, np.uint8)
    parts = [_cell(source.crops[query])]
    for gallery in (real, rendered):
        excluded = (gallery.persons == source.persons[query])[None]
        found = nearest(source.embedding[query : query + 1], gallery.embedding, NEIGHBOURS, excluded=excluded)[0]
        parts += [gap, *(_cell(gallery.crops[k]) for k in found)]
    return np.concatenate(parts, axis=1)


def _cell(crop: np.ndarray) -> np.ndarray:
    return cv2.resize(crop, (CELL, CELL), interpolation=cv2.INTER_AREA)
