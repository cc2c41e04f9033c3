"""What the Explore page asks of the server, as plain dictionaries."""

import base64
import secrets
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import numpy as np

from annotation.asking.requested import queue_questions
from annotation.pool.builtin import has_builtin
from annotation.store.images import embed_steps
from annotation.store.store import Store
from freeavatar.avatars import DEFAULT_AVATAR, public_avatars
from freeavatar.errors import InputError
from freeavatar.explore.fitting import fit_steps
from freeavatar.explore.lens import available_bundles
from freeavatar.explore.maps import MapConfig, aligned
from freeavatar.explore.sheets import THUMBNAILS
from webapp.common.doors import is_password
from webapp.common.replies import Reply, language_in
from webapp.explore.export import KINDS, export
from webapp.explore.faces import Clips, Faces, captions_of
from webapp.explore.jobs import Jobs, Steps, words
from webapp.explore.looking import Looking
from webapp.explore.moving import Moving
from webapp.explore.pool import Pool
from webapp.explore.replies import number, number_column, packed, words_column
from webapp.explore.shelf import Shelf, config_of, indices_of, lens_of, maps_folder


class Explorer:
    """Serves every visitor's page; safe for threads.

    Args:
        store: the labels, whose pool is shown.
        uploads: where Gradio puts uploaded files; nothing outside is read.
        may_ask: whether visitors may queue questions.
        password: asked for before anything is shown; empty for none.
    """

    def __init__(self, store: Store, *, uploads: Path, may_ask: bool = True, password: str = "") -> None:
        self._shelf, self._may_ask, self._password = Shelf(store, uploads), may_ask, password
        self._keys: set[str] = set()
        self._jobs, clips = Jobs(on_end=store.close), Clips()
        faces = Faces(store, clips)
        self.looking, self.moving = Looking(self._shelf, faces), Moving(self._shelf, faces, clips, self._jobs)

    @property
    def acts(self) -> list[Callable[[Reply], Reply]]:
        """Everything the page may ask."""
        looking, moving = self.looking, self.moving
        behind_the_door = [
            self.open, self.map, self.embed, self.job, self.stop, self.sheet, self.ask, self.export,
            looking.look, looking.glimpse, looking.decode, looking.morph, looking.find, looking.compare,
            looking.neighbours, looking.faces, moving.trace, moving.clip, moving.moment, moving.drop,
        ]  # fmt: skip
        return [self.start, self.enter, *map(self._guarded, behind_the_door)]

    def _is_in(self, request: Reply) -> bool:
        return not self._password or request.get("key") in self._keys

    def _guarded(self, act: Callable[[Reply], Reply]) -> Callable[[Reply], Reply]:
        """An act that only those who gave the password may do."""

        @wraps(act)
        def guarded(request: Reply) -> Reply:
            if not self._is_in(request):
                raise InputError("give the password first: reload the page.")
            return act(request)

        return guarded

    def enter(self, request: Reply) -> Reply:
        """Give the password: ``key``, which goes with every further request."""
        if not is_password(str(request.get("password", "")), self._password):
            raise InputError("this is not the password.")
        key = secrets.token_urlsafe(16)
        self._keys.add(key)
        return {"key": key}

    def start(self, request: Reply) -> Reply:
        """What there is to choose from; ``is_locked`` before the password was given."""
        if not self._is_in(request):
            return {"is_locked": True}
        return {
            "bundles": list(available_bundles()), "avatars": public_avatars(), "avatar": DEFAULT_AVATAR,
            "may_ask": self._may_ask,
            "thumbnails": {"cell": THUMBNAILS.cell, "columns": THUMBNAILS.columns},
        }  # fmt: skip

    def open(self, request: Reply) -> Reply:
        """The pool under a bundle: how many points, and what to colour them by."""
        lens, weights = lens_of(request)
        pool = self._shelf.read(weights)
        columns = [words_column("cluster", [str(k + 1) for k in pool.clusters.labels])]
        columns += [words_column(name, pool.words[name]) for name in ("label", "person", "avatar", "kind")]
        columns.append(number_column("disagreement", pool.disagreement))
        cells = np.empty(len(pool.ids), np.uint32)
        cells[pool.order] = np.arange(len(pool.ids))
        return {
            "token": pool.token, "count": len(pool.ids), "missing": pool.missing, "cells": packed(cells),
            "columns": [column for column in columns if column], "clusters": pool.clusters.count,
            "silhouette": number(pool.clusters.silhouette), "has_decoder": lens.has_decoder,
            "is_filling": not has_builtin(self._shelf.store), "captions": captions_of(pool),
        }  # fmt: skip

    def map(self, request: Reply) -> Reply:
        """Points of a map; or ``job``, which is fitting it. ``onto`` is a pool to turn it towards."""
        pool, config = self._shelf.pool(request), config_of(request)
        drawn = self._shelf.map(pool, config)
        if drawn is None:
            return {"job": self._jobs.start("fit", self._fit(pool, config))}
        points = drawn.points
        if request.get("onto"):
            points = self._turned(pool, points, self._shelf.pool(request, "onto"), config)
        return {"points": packed(points), "dims": config.dims, "trust": number(drawn.trust), "method": config.method}

    def _turned(self, pool: Pool, points: np.ndarray, other: Pool, config: MapConfig) -> np.ndarray:
        onto = self._shelf.map(other, config)
        if onto is None or other.ids != pool.ids:
            return points
        return aligned(points, onto.points)

    def _fit(self, pool: Pool, config: MapConfig) -> Steps:
        for seconds in fit_steps(pool.vectors, config, maps_folder(pool)):
            yield None, words("explore.fitting", name=config.name, seconds=round(seconds))
            if not seconds:
                break
        return {}

    def embed(self, request: Reply) -> Reply:
        """Start embedding what a bundle has not seen."""
        lens, weights = lens_of(request)

        def steps() -> Steps:
            for done, total in embed_steps(self._shelf.store, weights, lambda crops: lens.encode(crops)[1]):
                told = words("explore.embedding", bundle=request["bundle"], done=done, total=total)
                yield done / max(total, 1), told
            return {}

        return {"job": self._jobs.start("work", steps())}

    def job(self, request: Reply) -> Reply:
        """How far a job is."""
        return self._jobs.watch(str(request.get("job")), language_in(request))

    def stop(self, request: Reply) -> Reply:
        """Stop a job."""
        self._jobs.stop(str(request.get("job")))
        return {}

    def sheet(self, request: Reply) -> Reply:
        """A sprite sheet of thumbnails."""
        pool = self._shelf.pool(request)
        return {"url": self._shelf.sheet(pool.token, int(request.get("number", 0)))}

    def ask(self, request: Reply) -> Reply:
        """Queue a set of images as questions of the Label tab."""
        if not self._may_ask:
            raise InputError("questions can be queued where the Label admin tab is served.")
        pool = self._shelf.pool(request)
        return {"queued": queue_questions(self._shelf.store, [pool.ids[k] for k in indices_of(request, pool)])}

    def export(self, request: Reply) -> Reply:
        """Chosen images as a list, NPZ or CSV; or the map as one HTML file."""
        pool, kind = self._shelf.pool(request), str(request.get("kind"))
        if kind not in KINDS:
            raise InputError("there is no export {!r}: use {}.", kind, ", ".join(KINDS))
        name, mime, data = export(
            kind, pool, self._shelf.shown(pool, request), indices_of(request, pool), language=language_in(request),
            sheet=lambda number: self._shelf.sheet(pool.token, number),
        )  # fmt: skip
        return {"name": name, "mime": mime, "data": base64.b64encode(data).decode()}
