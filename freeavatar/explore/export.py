"""What leaves the map: lists, tables, arrays, and the map itself as one page that needs no server."""

import base64
import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from freeavatar.explore.sheets import THUMBNAILS


class _Template(Template):
    """``@{name}``: Plotly's code is full of dollars."""

    delimiter = "@"
    pattern = r"@\{(?P<braced>\w+)\}|(?P<escaped>(?!))|(?P<named>(?!))|(?P<invalid>(?!))"  # type: ignore[assignment]


_PAGE = _Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
MOST_PICTURED = 20_000
"""Points whose faces go into the HTML file: 10 MB of thumbnails; those beyond show their names."""


@dataclass(frozen=True)
class Table:
    """Points of a map, and what is known of them."""

    title: str
    ids: Sequence[str]
    sources: Sequence[str]
    """Where the images come from, as others may read it: no path of this machine."""
    vectors: np.ndarray
    """``(N, 16)``."""
    points: np.ndarray
    """``(N, 2 or 3)``."""
    words: Mapping[str, Sequence[str]]
    """Columns of text."""

    def rows(self, chosen: Sequence[int]) -> "Table":
        """Some of the rows."""
        pick = list(chosen)
        return Table(
            self.title, [self.ids[k] for k in pick], [self.sources[k] for k in pick], self.vectors[pick],
            self.points[pick], {name: [column[k] for k in pick] for name, column in self.words.items()},
        )  # fmt: skip


def plotly_script() -> Path:
    """Plotly's own JavaScript, which its package carries."""
    return Path(str(resources.files("plotly") / "package_data" / "plotly.min.js"))


def to_list(table: Table) -> bytes:
    """Ids and sources, one image a line."""
    return "".join(f"{i}\t{source}\n" for i, source in zip(table.ids, table.sources, strict=True)).encode()


def to_csv(table: Table) -> bytes:
    """Id, source, place on the map, what is known, and the embedding."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    axes = ["x", "y", "z"][: table.points.shape[1]]
    size = table.vectors.shape[1]
    writer.writerow(["id", "source", *axes, *table.words, *(f"e{k}" for k in range(size))])
    for k, (image, source) in enumerate(zip(table.ids, table.sources, strict=True)):
        known = [column[k] for column in table.words.values()]
        writer.writerow([image, source, *_rounded(table.points[k]), *known, *_rounded(table.vectors[k])])
    return text.getvalue().encode()


def _rounded(numbers: np.ndarray) -> list[float]:
    return [round(float(number), 6) for number in numbers]


def to_npz(table: Table) -> bytes:
    """``ids``, ``sources``, ``embedding`` (N, 16), ``points`` (N, dims), and a column of text each."""
    file = io.BytesIO()
    words: dict[str, Any] = {name: np.array(column, dtype=str) for name, column in table.words.items()}
    np.savez(
        file, ids=np.array(table.ids, dtype=str), sources=np.array(table.sources, dtype=str),
        embedding=table.vectors, points=table.points, **words,
    )  # fmt: skip
    return file.getvalue()


def to_page(table: Table, sheets: Sequence[str], cells: Sequence[int], *, note: str) -> bytes:
    """The map as one HTML file: Plotly, points and faces inside, nothing from the network.

    Args:
        table: the points.
        sheets: ``data:`` URLs of thumbnails.
        cells: where each point's face lies on them; -1 for none.
        note: a sentence below the map.
    """
    first = next((name for name in table.words if any(table.words[name])), None)
    words = list(table.words[first]) if first else [""] * len(table.ids)
    data = {
        "points": base64.b64encode(np.ascontiguousarray(table.points, np.float32).tobytes()).decode(),
        "dims": table.points.shape[1], "words": words, "sources": list(table.sources),
        "sheets": list(sheets), "cells": list(cells), "cell": THUMBNAILS.cell, "columns": THUMBNAILS.columns,
    }  # fmt: skip
    return _PAGE.substitute(
        title=html.escape(table.title),
        note=html.escape(note),
        plotly=plotly_script().read_text(encoding="utf-8"),
        # "</" would end the script
        data=json.dumps(data).replace("</", "<\\/"),
    ).encode()
