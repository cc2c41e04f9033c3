"""Settled triplets out of the store: FEC's layout, the paper's CSV, and the snapshot training reads."""

import csv
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from annotation.pool.index import build_index
from annotation.pool.sampling import count_classes
from annotation.store.ids import new_id, now
from annotation.store.images import weights_id
from annotation.store.store import Store
from annotation.store.votes import PURPOSES, Tally, comparisons_of, fewest_raters, read_tallies
from freeavatar.errors import InputError
from freeavatar.fec import TYPES, FecFace, FecRow, write_fec
from freeavatar.files import make_folder, replacing

Format = Literal["fec", "csv", "jsonl"]
COLUMNS = ("anchor", "positive", "negative", "type")


@dataclass(frozen=True)
class Triplet:
    """One comparison, by ids of images."""

    anchor: str
    positive: str
    negative: str
    type: str
    agreement: float
    votes: int
    purpose: str
    """Why it was asked, one of :data:`annotation.store.votes.PURPOSES`."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    triplets: int
    images: int
    note: str = ""


@dataclass(frozen=True)
class Selection:
    """Which answers are exported."""

    annotators: frozenset[str] | None = None
    """Whose; None takes everybody's."""
    most: int = 0
    """Questions at most, the newest; 0 takes all."""
    is_pictured: bool = False
    """Leave out triplets with an image that is known by name alone."""
    min_raters: int | None = None
    """Raters of a question at least, but for imported ones; None takes :func:`fewest_raters`."""

    def of(self, tallies: Sequence[Tally]) -> list[Tally]:
        """The questions that are left, with the votes that count; how many raters they have is not looked at."""
        if self.annotators is not None:
            own = [
                replace(tally, votes=tuple(vote for vote in tally.votes if vote[0] in self.annotators))
                for tally in tallies
            ]
            tallies = [tally for tally in own if tally.votes]
        return list(tallies[-self.most :])


def export_labels(
    store: Store, out: Path, *, kind: Format, min_agreement: float = 0.66, images: Path | None = None,
    purposes: Collection[str] = (), selection: "Selection | None" = None,
) -> Exported:  # fmt: skip
    """Write settled triplets.

    Args:
        store: the labels.
        out: the file.
        kind: ``fec`` has every vote and odd-one-out only; ``csv`` and ``jsonl`` have grids too.
        min_agreement: smallest share of raters behind a triplet, in [0, 1]; 0 exports all of FEC.
        images: folder that takes the crops as ``<id>.jpg``.
        purposes: questions asked for these reasons alone, of :data:`annotation.store.votes.PURPOSES`: ``random`` is an
            honest test set; default all but repeats.
        selection: which answers; default all.

    Raises:
        InputError: an unknown purpose, nothing to export, or a file that cannot be written or is the database itself.
    """
    store.refuse_as_output(out)
    if not 0 <= min_agreement <= 1:
        raise InputError("min-agreement is {:g}, expected a share between 0 and 1.", min_agreement)
    if unknown := sorted(set(purposes) - set(PURPOSES)):
        raise InputError("there is no purpose {!r}: use {}.", unknown[0], ", ".join(PURPOSES))
    selection = selection or Selection()
    least = fewest_raters(store) if selection.min_raters is None else selection.min_raters
    tallies = [tally for tally in selection.of(read_tallies(store, purposes=purposes)) if tally.has_raters(least)]
    names = {row["id"]: _Named(**row) for row in store.rows("select id, kind, source, box from images")}
    triplets = _triplets(store, tallies, min_agreement)
    if selection.is_pictured:
        pictured = {row["id"] for row in store.rows("select id from images where crop is not null")}
        triplets = [t for t in triplets if {t.anchor, t.positive, t.negative} <= pictured]
    used = sorted({image for t in triplets for image in (t.anchor, t.positive, t.negative)})
    if not triplets:
        raise InputError(
            "no triplet of {}{} has {:.0%} of its raters, {} at least, behind it yet: collect more answers, or lower "
            "--min-agreement or --min-raters.",
            store.path,
            _asked_for(purposes),
            min_agreement,
            least,
        )
    make_folder(out.parent)
    saved = write_crops(store, used, images) if images else 0
    if kind == "fec":
        count = write_fec(_fec_rows(tallies, names, min_agreement), out)
    elif kind == "csv":
        count = _write_csv(triplets, names, out)
    else:
        count = _write_jsonl(triplets, names, out)
    _record(store, out, images, kind, count, min_agreement, used)
    left = sum(tally.form == "grid" for tally in tallies)
    return Exported(count, saved, f"{left} grids have no place in FEC's layout." if kind == "fec" and left else "")


def _asked_for(purposes: Collection[str]) -> str:
    return f" asked for {' or '.join(purposes)}" if purposes else ""


@dataclass(frozen=True)
class _Named:
    """How an image is called outside."""

    id: str
    kind: str
    source: str
    box: str | None

    @property
    def name(self) -> str:
        return self.source if self.kind == "reference" and self.box is None else f"{self.id}.jpg"

    @property
    def face(self) -> FecFace:
        if self.box is None:
            return FecFace(self.name, (0.0, 1.0, 0.0, 1.0))
        return FecFace(self.source, tuple(json.loads(self.box)))


def _triplets(store: Store, tallies: Sequence[Tally], min_agreement: float) -> list[Triplet]:
    found = [
        (tally, row, tally.type or "")
        for tally in tallies
        for row in comparisons_of(tally, min_agreement=min_agreement)
    ]
    unknown = [k for k, (_, _, kind) in enumerate(found) if not kind]
    types = dict(zip(unknown, _derive_types(store, [found[k][1][:3] for k in unknown]), strict=True))
    return [
        Triplet(
            *row[:3], type=kind or types[k], agreement=round(row[3], 4), votes=len(tally.votes), purpose=tally.purpose
        )
        for k, (tally, row, kind) in enumerate(found)
    ]


def _derive_types(store: Store, triples: Sequence[tuple[str, ...]]) -> list[str]:
    """Types by embedding, for triplets that grids gave; two classes where an image has no embedding."""
    if not triples:
        return []
    index = build_index(store, weights_id(), is_fitted=False)
    types = []
    for triple in triples:
        is_known = all(image in index.places for image in triple)
        places = [index.places[image] for image in triple] if is_known else []
        types.append(TYPES[int(count_classes(index.vectors[places], index.radius)) - 1] if places else TYPES[1])
    return types


def _fec_rows(tallies: Sequence[Tally], names: dict[str, _Named], min_agreement: float) -> list[FecRow]:
    rows = []
    for tally in tallies:
        if tally.form == "odd" and tally.majority()[1] >= min_agreement:
            one, two, three = (names[image].face for image in tally.images)
            votes = tuple((annotator.removeprefix("fec:"), choice[0]) for annotator, choice in tally.votes)
            rows.append(FecRow((one, two, three), tally.type or TYPES[1], votes))
    return rows


def _write_csv(triplets: Sequence[Triplet], names: dict[str, _Named], out: Path) -> int:
    with replacing(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for t in triplets:
            writer.writerow([*(names[image].name for image in (t.anchor, t.positive, t.negative)), t.type])
    return len(triplets)


def _write_jsonl(triplets: Sequence[Triplet], names: dict[str, _Named], out: Path) -> int:
    with replacing(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for t in triplets:
            row: dict[str, str | float] = {k: names[getattr(t, k)].name for k in COLUMNS[:3]}
            row |= {"type": t.type, "agreement": t.agreement, "votes": t.votes, "purpose": t.purpose}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return len(triplets)


def write_crops(store: Store, ids: Sequence[str], folder: Path) -> int:
    """Write the crops of images as ``<id>.jpg``; how many have one."""
    make_folder(folder)
    count = 0
    for image in ids:
        data = store.value("select crop from images where id = ?", (image,))
        if data is not None:
            with replacing(folder / f"{image}.jpg") as temporary:
                temporary.write_bytes(data)
            count += 1
    return count


def _record(
    store: Store, out: Path, images: Path | None, kind: str, count: int, min_agreement: float, used: Sequence[str]
) -> None:
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    snapshot, folder = new_id(), str(images.resolve()) if images else None
    with store.write() as db:
        known = {row["id"] for row in store.rows("select id from images")}
        if gone := set(used) - known:
            for path in (out, *(images / f"{image}.jpg" for image in gone if images)):
                path.unlink(missing_ok=True)
            raise InputError("{} images of it were forgotten while {} was written: export again.", len(gone), out)
        row = (snapshot, str(out.resolve()), folder, kind, count, min_agreement, digest, now())
        db.execute("insert into snapshots values (?, ?, ?, ?, ?, ?, ?, ?, 1)", row)
        db.conn.executemany("insert into snapshot_images values (?, ?)", [(snapshot, image) for image in used])
