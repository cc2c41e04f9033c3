"""Simulated annotators, who know the rigs of renders: for trying a study before people are paid."""

import json
from dataclasses import dataclass

import numpy as np

from annotation.asking.desk import Asked, Desk, NoQuestion
from annotation.pool.sampling import pair_distances
from annotation.store.ids import now
from annotation.store.store import Store
from freeavatar.errors import InputError
from freeavatar.rig import ARKIT

SECONDS = {"odd": 3.0, "grid": 12.0, "ab": 6.0}
"""Median time of an answer."""
PICKED = 6
"""Faces a simulated annotator picks from a grid."""


@dataclass(frozen=True)
class SimulateOptions:
    """Who answers."""

    annotators: int = 20
    answers: int = 600
    """Of all together."""
    noise: float = 0.1
    """Share of an honest annotator's answers that are chance."""
    clickers: float = 0.0
    """Share of annotators all of whose answers are chance."""
    form: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.annotators < 1 or self.answers < 1 or not 0 <= self.noise <= 1 or not 0 <= self.clickers <= 1:
            raise InputError("expected at least 1 annotator and 1 answer; noise and clickers between 0 and 1.")


class Oracle:
    """Knows how far apart expressions are: by their rigs where all have one, else by the embedding."""

    def __init__(self, store: Store, weights: str, *, taste: np.ndarray | None = None) -> None:
        """Know a store.

        Args:
            store: the labels.
            weights: id of the embeddings.
            taste: what each of ARKit's blendshapes counts in the eyes of this crowd, ``(52,)``; default all alike.
        """
        self._store, self._weights = store, weights
        self._taste = np.ones(len(ARKIT)) if taste is None else taste
        self._rigs: dict[str, np.ndarray | None] = {}
        self._vectors: dict[str, np.ndarray] = {}

    def vectors(self, images: list[str]) -> np.ndarray:
        """Points ``(N, D)`` whose distances are the truth."""
        for image in images:
            if image not in self._vectors:
                self._look_up(image)
        rigs = [self._rigs[image] for image in images]
        found = [rig for rig in rigs if rig is not None]
        return np.stack(found if len(found) == len(rigs) else [self._vectors[image] for image in images])

    def _look_up(self, image: str) -> None:
        row = self._store.rows(
            "select rig, vector from images left join embeddings on image_id = id and weights = ? where id = ?",
            (self._weights, image),
        )[0]
        rig = json.loads(row["rig"]) if row["rig"] is not None else None
        self._rigs[image] = None if rig is None else self._taste * [rig.get(name, 0.0) for name in ARKIT]
        data = row["vector"]
        self._vectors[image] = np.frombuffer(data, np.float32) if data is not None else np.zeros(16, np.float32)

    def places(self, asked: Asked, rng: np.random.Generator, *, noise: float) -> list[int]:
        """Places on the screen that a simulated annotator picks; all at chance with probability ``noise``."""
        if asked.form == "ab" or rng.random() < noise:
            count = PICKED if asked.form == "grid" else 1
            return sorted(int(k) for k in rng.choice(len(asked.shown), count, replace=False))
        sql = "select image_id from question_images where question_id = ? order by position"
        points = self.vectors([row["image_id"] for row in self._store.rows(sql, (asked.question,))])
        if asked.form == "odd":
            return [asked.shown.index(int(pair_distances(points).argmin()))]
        nearest = np.linalg.norm(points[1:] - points[0], axis=1).argsort(kind="stable")[:PICKED] + 1
        return sorted(asked.shown.index(int(k)) for k in nearest)


def simulate(store: Store, desk: Desk, oracle: Oracle, options: SimulateOptions) -> tuple[int, list[str]]:
    """Answer as a crowd would, in turns.

    Returns:
        How many answers were filed, and the annotators who clicked by chance.
    """
    rng = np.random.default_rng(options.seed)
    people = [f"sim:{options.seed}-{k:04d}" for k in range(options.annotators)]
    clickers = set(rng.choice(people, round(options.clickers * len(people)), replace=False).tolist())
    with store.write() as db:
        rows = [(name, "simulated", None, None, "simulate", now()) for name in people]
        db.conn.executemany("insert or ignore into annotators values (?, ?, ?, ?, ?, ?)", rows)
    filed = 0
    for k in range(options.answers):
        name = people[k % len(people)]
        try:
            asked = desk.ask(name, form=options.form)
        except NoQuestion:
            continue
        places = oracle.places(asked, rng, noise=1.0 if name in clickers else options.noise)
        seconds = round(float(rng.lognormal(np.log(SECONDS[asked.form]), 0.4)), 2)
        desk.answer(asked.lease, "choice", places, seconds=seconds, client="simulate")
        filed += 1
    return filed, sorted(clickers)
