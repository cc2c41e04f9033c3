"""Labels of real face crops: rows of a labels.csv, and their rigs."""

import csv
from pathlib import Path

import numpy as np

from freeavatar.errors import InputError
from freeavatar.rig import ARKIT
from training.data.triplets import SEPARATOR

DESCRIPTIONS = "descriptions.csv"
"""What viewers say of some of the faces of the labels.csv beside it: a table of training.describe_faces."""
RIGS = "rigs.npy"
"""Rigs of all rows of the labels.csv beside it, ``(N, 52)``: what training.label_faces writes."""
UNKNOWN = (
    "cheekPuff", "noseSneerLeft", "noseSneerRight", "cheekSquintLeft", "cheekSquintRight", "tongueOut", "jawForward",
    "eyeWideLeft", "eyeWideRight",
)  # fmt: skip
"""Channels that MediaPipe's scores do not carry, or hardly."""
EVEN = ("browDown", "browOuterUp")
"""Brows whose sides these scores move together."""


def read_rows(labels: Path, *, split: str = "train") -> list[dict[str, str]]:
    """Rows of a split of labels.csv.

    Raises:
        InputError: no such file, or no row of the split.
    """
    rows = [row for row in read_table(labels) if row.get("split") == split]
    if not rows:
        raise InputError("{} has no row of split {!r}: expected a column split that says train or val.", labels, split)
    return rows


def read_rigs(labels: Path, *, split: str = "train") -> np.ndarray:
    """Rigs of a split, ``(N, 52)`` in [0, 1]: those of the ``rigs.npy`` beside the table, or without one
    :func:`rigs_of_scores`, NaN where nothing is known.

    Raises:
        InputError: no such file, no row of the split, or the rigs are those of another table.
    """
    path = labels.with_name(RIGS)
    if not path.is_file():
        return rigs_of_scores(labels, split=split)
    rigs, splits = np.load(path), [row.get("split") for row in read_table(labels)]
    if rigs.shape != (len(splits), len(ARKIT)):
        raise InputError(
            "{} has {} rigs, and {} has {} rows: label the faces again with training.label_faces.",
            path, len(rigs), labels, len(splits),
        )  # fmt: skip
    return rigs[np.array(splits) == split].astype(np.float32)


def rigs_of_scores(labels: Path, *, split: str = "train") -> np.ndarray:
    """MediaPipe's scores of a split on the rig's scale, ``(N, 52)`` in [0, 1].

    The 10th percentile of the train split is rest, the 99.5th, where a channel is alive, is 1. What the scores do not
    carry is NaN. They move both sides of the brows together, so these are averaged, and what is trained on them learns
    even brows.

    Raises:
        InputError: no such file, or no row of the split.
    """
    low, high = np.quantile(scores_of(read_rows(labels)), [0.1, 0.995], axis=0)
    rigs = np.clip((scores_of(read_rows(labels, split=split)) - low) / np.maximum(high - low, 0.25), 0, 1)
    rigs[:, np.isin(ARKIT, UNKNOWN)] = np.nan
    for name in EVEN:
        pair = [ARKIT.index(name + "Left"), ARKIT.index(name + "Right")]
        rigs[:, pair] = rigs[:, pair].mean(1, keepdims=True)
    return rigs.astype(np.float32)


def image_ids(faces: Path, rows: list[dict[str, str]]) -> list[str]:
    """Ids of the images of rows, in the images.zip of a folder of labelled faces."""
    return [f"{faces / 'images.zip'}{SEPARATOR}{row['file']}" for row in rows]


def scores_of(rows: list[dict[str, str]]) -> np.ndarray:
    """Blendshape scores ``(N, 52)`` float32 in ARKit's order; 0 where a channel has no column."""
    return np.array([[float(row.get(name) or 0) for name in ARKIT] for row in rows], np.float32)


def read_table(labels: Path) -> list[dict[str, str]]:
    """All rows of labels.csv, in order.

    Raises:
        InputError: no such file.
    """
    if not labels.is_file():
        raise InputError("{} does not exist: give the labels.csv of the face crops.", labels)
    with labels.open(newline="") as file:
        return list(csv.DictReader(file))
