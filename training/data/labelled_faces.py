"""Labels of real face crops: rows of a labels.csv, and what its silver labels are good for."""

import csv
from pathlib import Path

import numpy as np

from freeavatar.errors import InputError
from freeavatar.rig import ARKIT

DEAD = ("cheekPuff", "noseSneerLeft", "noseSneerRight", "cheekSquintLeft", "cheekSquintRight", "tongueOut")
"""Channels the silver labels do not carry: never trained on real faces."""
FAINT = ("eyeWideLeft", "eyeWideRight", "jawForward")
"""Channels the silver labels hardly carry: trained on real faces with a tenth of the weight."""
ONE_SIDED = ("browDown", "browOuterUp")
"""Brows the silver labels move together: only their mean is trained on real faces."""


def read_rows(labels: Path, *, split: str = "train") -> list[dict[str, str]]:
    """Rows of a split of labels.csv.

    Raises:
        InputError: no such file, or no row of the split.
    """
    if not labels.is_file():
        raise InputError("{} does not exist: give the labels.csv of the face crops.", labels)
    with labels.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("split") == split]
    if not rows:
        raise InputError("{} has no row of split {!r}: expected a column split that says train or val.", labels, split)
    return rows


def rigs_of(rows: list[dict[str, str]]) -> np.ndarray:
    """Blendshape scores ``(N, 52)`` float32 in ARKit's order; 0 where a channel has no column."""
    return np.array([[float(row.get(name) or 0) for name in ARKIT] for row in rows], np.float32)


def read_silver_labels(labels: Path) -> np.ndarray:
    """Silver labels of the train split as rigs to re-enact, ``(N, 52)``: each channel's resting value
    (10th percentile) taken off and its 99.5th percentile, where it is alive, brought to 1."""
    scores = rigs_of(read_rows(labels))
    low, high = np.quantile(scores, [0.1, 0.995], axis=0)
    return (np.clip((scores - low) / np.maximum(high - low, 0.25), 0, 1)).astype(np.float32)
