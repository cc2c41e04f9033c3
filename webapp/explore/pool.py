"""The label pool as points of the space: embeddings, and what each image can be coloured by."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath

import numpy as np

from annotation.store.images import decode_crop
from annotation.store.store import Store
from annotation.store.votes import comparisons_of, read_tallies
from freeavatar.explore.clusters import Clusters, find_clusters
from freeavatar.explore.maps import pca_axes

_PICTURES = {"jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"}


@dataclass(frozen=True)
class Pool:
    """The pool under one bundle, in the order of the images' ids."""

    weights: str
    ids: list[str]
    vectors: np.ndarray
    """``(N, 16)`` float32."""
    sources: list[str]
    missing: int
    """Images not embedded under this bundle yet."""
    clusters: Clusters
    words: dict[str, list[str]] = field(repr=False)
    """What an image is: ``label``, ``person``, ``avatar``, ``kind``; empty where nobody said."""
    disagreement: np.ndarray = field(repr=False)
    """Share of annotators who did not choose as most did, ``(N,)`` float32; nan for images nobody was asked about
    twice."""

    @cached_property
    def token(self) -> str:
        """Changes when images come, go, or are embedded anew."""
        digest = hashlib.sha256("".join(self.ids).encode() + self.vectors.tobytes())
        return f"{self.weights}-{digest.hexdigest()[:16]}"

    @cached_property
    def order(self) -> np.ndarray:
        """Images sorted so that alike ones follow one another, ``(N,)``: they share sprite sheets."""
        if not self.ids:
            return np.zeros(0, int)
        mean, axes = pca_axes(self.vectors, 1)
        return np.lexsort((((self.vectors - mean) @ axes)[:, 0], self.clusters.labels))


def read_pool(store: Store, weights: str) -> Pool:
    """Every image of the pool that has a crop and an embedding under some weights."""
    sql = (
        "select i.id, i.kind, i.source, i.person, e.vector from images i join embeddings e on e.image_id = i.id "
        "where i.crop is not null and e.weights = ? order by i.id"
    )
    rows = store.rows(sql, (weights,))
    total = store.value("select count(*) from images where crop is not null")
    vectors = np.stack([np.frombuffer(row["vector"], np.float32) for row in rows]) if rows else np.zeros((0, 16), "f4")
    ids = [row["id"] for row in rows]
    words = {
        "label": [label_of(row["source"], row["kind"]) for row in rows],
        "person": [row["person"] or "" for row in rows],
        "avatar": [_builtin(row["source"])[0] for row in rows],
        "kind": [row["kind"] for row in rows],
    }
    return Pool(
        weights, ids, vectors, [row["source"] for row in rows], total - len(rows), find_clusters(vectors), words,
        _disagreement(store, ids),
    )  # fmt: skip


def _builtin(source: str) -> tuple[str, str]:
    """Avatar and expression of a render that ships; empty for other images."""
    avatar, _, expression = source.removeprefix("builtin:").partition("/")
    return (avatar, expression) if source.startswith("builtin:") else ("", "")


def name_of(source: str) -> str:
    """Where an image comes from, as visitors may read it: of a path on this machine the file's name alone."""
    return source if "://" in source or source.startswith("builtin:") else re.split(r"[/\\]", source)[-1]


def label_of(source: str, kind: str) -> str:
    """What people call the expression: that of a built-in render, or the folder somebody sorted a photo into."""
    if expression := _builtin(source)[1]:
        return "mix" if expression.startswith("mix ") else expression
    parents = PurePath(source.split("#")[0].split("@")[0]).parts[:-1]
    if kind != "photo" or len(parents) < 2 or "://" in source:
        return ""
    return "" if parents[-1].rsplit(".")[-1].lower() in {"zip", *_PICTURES} else parents[-1]


def _disagreement(store: Store, ids: Sequence[str]) -> np.ndarray:
    places = {image: k for k, image in enumerate(ids)}
    total, count = np.zeros(len(ids)), np.zeros(len(ids))
    for tally in read_tallies(store, forms=("odd",)):
        if len(tally.votes) > 1:
            for image in tally.images:
                if image in places:
                    total[places[image]] += 1 - tally.majority()[1]
                    count[places[image]] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


@dataclass(frozen=True)
class Judgements:
    """What annotators said, as indices into a list of images."""

    triplets: np.ndarray
    """Anchor, positive, negative, ``(T, 3)``."""
    is_mutual: np.ndarray
    """``(T,)`` bool: the negative is the odd one out of three."""


def read_judgements(store: Store, ids: Sequence[str]) -> Judgements:
    """Comparisons that most annotators agree on, among some images; practice and gold are none of theirs."""
    places = {image: k for k, image in enumerate(ids)}
    rows, mutual = [], []
    for tally in read_tallies(store):
        for row in comparisons_of(tally, min_agreement=0.5):
            if tally.purpose != "gold" and all(image in places for image in row[:3]):
                rows.append([places[image] for image in row[:3]])
                mutual.append(tally.form == "odd")
    return Judgements(np.array(rows, int).reshape(-1, 3), np.array(mutual, bool))


def crops_of(store: Store, ids: Sequence[str]) -> list[np.ndarray | None]:
    """Crops of images, ``(S, S, 3)`` uint8 each; None for those that are gone."""
    rows = store.rows("select id, crop from images where id in (select value from json_each(?))", (json.dumps(ids),))
    found = {row["id"]: row["crop"] for row in rows if row["crop"] is not None}
    return [decode_crop(found[image]) if image in found else None for image in ids]
