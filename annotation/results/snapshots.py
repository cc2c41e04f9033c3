"""Freezing labels for a training run: what is learned from, what is held out, and the crops of both."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from annotation.results.exporting import Selection, export_labels
from annotation.store.store import Store
from annotation.store.votes import PURPOSES, Tally, fewest_raters, read_tallies
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
    images = folder / "images"
    learned = [purpose for purpose in PURPOSES if purpose not in (HELD_OUT, "repeat")]

    def export(name: str, purposes: Sequence[str], chosen: Selection) -> int:
        return export_labels(
            store, folder / name, kind="jsonl", min_agreement=choice.min_agreement, images=images,
            purposes=purposes, selection=chosen,
        ).triplets  # fmt: skip

    counts = count_labels(store, choice)
    if not counts.learned:
        raise InputError(
            "there are no labels to learn from yet: answer questions in the Label tab, or take more annotators, "
            "or lower the agreement."
        )
    triplets = export("train.jsonl", learned, _learned(store, choice))
    held = export("held_out.jsonl", [HELD_OUT], _held_out(store, choice)) if counts.held_out else 0
    return Snapshot(
        folder / "train.jsonl", folder / "held_out.jsonl" if held else None, images, triplets, held
    )  # fmt: skip


@dataclass(frozen=True)
class LabelCounts:
    """Roughly how many questions there are."""

    learned: int
    """To learn from."""
    single: int
    """Of those, answered by one person alone: with nobody to agree with, they are taken at their word."""
    held_out: int
    """To measure with."""


def count_labels(store: Store, choice: Choice) -> LabelCounts:
    """How many questions a choice comes to."""
    tallies, least = read_tallies(store), fewest_raters(store)
    learned = [tally for tally in _learned(store, choice).of([t for t in tallies if t.purpose != HELD_OUT])
               if _is_settled(tally, choice.min_agreement)]  # fmt: skip
    held = [tally for tally in _held_out(store, choice).of([t for t in tallies if t.purpose == HELD_OUT])
            if _is_settled(tally, choice.min_agreement) and tally.has_raters(least)]  # fmt: skip
    return LabelCounts(len(learned), sum(not tally.has_raters(2) for tally in learned), len(held))


def _is_settled(tally: Tally, min_agreement: float) -> bool:
    return tally.form == "grid" or tally.majority()[1] >= min_agreement


def _learned(store: Store, choice: Choice) -> Selection:
    """What is learned from: single answers as well, for many noisy labels teach more than few clean ones."""
    return Selection(_annotators(store, choice), choice.most, is_pictured=True, min_raters=1)


def _held_out(store: Store, choice: Choice) -> Selection:
    return Selection(_annotators(store, choice), is_pictured=True)


def _annotators(store: Store, choice: Choice) -> frozenset[str] | None:
    if not choice.annotators and not choice.left_out:
        return None
    known = choice.annotators or [row["id"] for row in store.rows("select id from annotators")]
    return frozenset(known) - set(choice.left_out)
