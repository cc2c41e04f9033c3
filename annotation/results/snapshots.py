"""Freezing labels for a training run: what is learned from, what is held out, and the crops of both."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from annotation.results.exporting import Selection, export_labels
from annotation.store.store import Store
from annotation.store.votes import PURPOSES, Tally, read_tallies
from freeavatar.errors import InputError

HELD_OUT = "random"
"""Purpose of the questions nothing is trained on: actively chosen ones would flatter or wrong a model."""


@dataclass(frozen=True)
class Choice:
    """Which labels a run learns from."""

    annotators: tuple[str, ...] = ()
    """By whom; empty for everybody who is not excluded."""
    left_out: tuple[str, ...] = ()
    """Not by these."""
    min_agreement: float = 0.66
    """Smallest share of raters behind a triplet, in [0, 1]."""
    most: int = 0
    """Questions to learn from at most, the newest; 0 for all."""


@dataclass(frozen=True)
class Snapshot:
    """Labels that no longer change."""

    train: Path
    """Triplets to learn from, JSONL."""
    held_out: Path | None
    """Triplets to measure on; None if nobody answered a random question yet."""
    images: Path
    """Folder of their crops."""
    triplets: int
    held_out_triplets: int

    def hashes(self) -> dict[str, str]:
        """Sha256 of each file by its name."""
        files = [path for path in (self.train, self.held_out) if path is not None]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def freeze_labels(store: Store, folder: Path, choice: Choice) -> Snapshot:
    """Export the chosen labels into a folder of their own.

    Raises:
        InputError: there are no labels to learn from, or the folder cannot be written.
    """
    selection, images = _selection(store, choice), folder / "images"
    learned = [purpose for purpose in PURPOSES if purpose not in (HELD_OUT, "repeat")]

    def export(name: str, purposes: Sequence[str], chosen: Selection) -> int:
        return export_labels(
            store, folder / name, kind="jsonl", min_agreement=choice.min_agreement, images=images,
            purposes=purposes, selection=chosen,
        ).triplets  # fmt: skip

    if not count_triplets(store, choice)[0]:
        raise InputError(
            "there are no labels to learn from yet: answer questions in the Label tab, or take more annotators, "
            "or lower the agreement."
        )
    triplets = export("train.jsonl", learned, selection)
    held = count_triplets(store, choice)[1]
    if held:
        held = export(
            "held_out.jsonl", [HELD_OUT], Selection(selection.annotators, is_pictured=selection.is_pictured)
        )  # fmt: skip
    return Snapshot(
        folder / "train.jsonl", folder / "held_out.jsonl" if held else None, images, triplets, held
    )  # fmt: skip


def count_triplets(store: Store, choice: Choice) -> tuple[int, int]:
    """Roughly how many questions there are to learn from, and how many are held out."""
    selection = _selection(store, choice)
    tallies = [tally for tally in read_tallies(store) if _is_settled(tally, choice.min_agreement)]
    learned = selection.of([tally for tally in tallies if tally.purpose != HELD_OUT])
    held = Selection(selection.annotators).of([tally for tally in tallies if tally.purpose == HELD_OUT])
    return len(learned), len(held)


def _is_settled(tally: Tally, min_agreement: float) -> bool:
    return tally.form == "grid" or tally.majority()[1] >= min_agreement


def _selection(store: Store, choice: Choice) -> Selection:
    if not choice.annotators and not choice.left_out:
        return Selection(None, choice.most, is_pictured=True)
    known = choice.annotators or [row["id"] for row in store.rows("select id from annotators")]
    return Selection(frozenset(known) - set(choice.left_out), choice.most, is_pictured=True)
