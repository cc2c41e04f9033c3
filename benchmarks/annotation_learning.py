"""What a second of an annotator teaches: random and active odd-one-out, and grids; and who clicks by chance.

    python -m benchmarks.annotation_learning --out curves.png
    python -m benchmarks.annotation_learning --out curves.png --seconds 300 --seeds 1     # CPU-sized

The pool is the built-in renders, whose rigs are known; simulated annotators answer by rig distance, a share
of the answers at chance. An odd-one-out takes 3 s and a grid 12 s. Accuracy is that of held-out triplets
(anchor, two others: which is nearer) under the embedding fitted to the answers so far, against the rigs.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from annotation.asking.desk import Desk
from annotation.people.simulate import PICKED, SECONDS, Oracle, SimulateOptions, simulate
from annotation.pool.builtin import fill_builtin
from annotation.pool.fit import Fit, fit_embedding
from annotation.pool.index import LiveIndex, build_index
from annotation.pool.sampling import grid_faces, informative_triplet, pair_distances, random_triplets
from annotation.results.quality import measure_quality
from annotation.store.images import Embedder
from annotation.store.settings import change_settings
from annotation.store.store import Store
from freeavatar.files import write_png

COLORS = {"random": (120, 120, 120), "active": (15, 118, 110), "grid": (190, 70, 30)}


@dataclass(frozen=True)
class LearningConfig:
    """How long, how noisy."""

    out: Path
    """Picture of the curves."""
    seconds: float = 4000.0
    """Of simulated work."""
    seeds: int = 5
    noise: float = 0.1
    clicker_seeds: int = 5


class Study:
    """One pool, its truth, and the held-out triplets."""

    def __init__(self, vectors: np.ndarray, truth: np.ndarray, noise: float) -> None:
        self.vectors, self.truth, self._noise = vectors, truth, noise
        self._held_out = random_triplets(len(vectors), np.random.default_rng(99), 6000)

    def accuracy(self, vectors: np.ndarray) -> float:
        """Share of held-out triplets ordered as the truth has them."""
        a, b, c = self._held_out.T

        def is_nearer(points: np.ndarray) -> np.ndarray:
            return ((points[a] - points[b]) ** 2).sum(1) < ((points[a] - points[c]) ** 2).sum(1)

        return float((is_nearer(vectors) == is_nearer(self.truth)).mean())

    def odd(self, chosen: np.ndarray, rng: np.random.Generator) -> list[tuple]:
        """Two constraints of an annotator's answer."""
        k = int(rng.integers(3) if rng.random() < self._noise else pair_distances(self.truth[chosen]).argmin())
        a, b = np.delete(chosen, k)
        return [(a, b, chosen[k]), (b, a, chosen[k])]

    def grid(self, chosen: np.ndarray, rng: np.random.Generator) -> list[tuple]:
        """A constraint for every face picked and every face left."""
        order = np.linalg.norm(self.truth[chosen[1:]] - self.truth[chosen[0]], axis=1).argsort()
        if rng.random() < self._noise:
            order = rng.permutation(len(order))
        return [(chosen[0], chosen[1 + p], chosen[1 + n]) for p in order[:PICKED] for n in order[PICKED:]]

    def run(self, kind: str, seconds: float, seed: int) -> list[tuple[float, float]]:
        """Seconds and accuracy as answers come in."""
        rng, uses = np.random.default_rng(seed), np.zeros(len(self.vectors))
        fit, spent, due = fit_embedding(self.vectors, np.zeros((0, 3), int), np.zeros(0, int)), 0.0, 60.0
        constraints: list[tuple] = []
        answers: list[int] = []
        curve = [(0.0, self.accuracy(fit.vectors))]
        ask: Callable[[Fit], np.ndarray] = {
            "random": lambda fit: random_triplets(len(uses), rng, 1)[0],
            "active": lambda fit: informative_triplet(fit.vectors, uses, rng, sharpness=fit.sharpness)[0],
            "grid": lambda fit: grid_faces(fit.vectors, uses, rng, sharpness=fit.sharpness)[0],
        }[kind]
        while spent < seconds:
            chosen = ask(fit)
            uses[chosen] += 1
            more = self.grid(chosen, rng) if kind == "grid" else self.odd(chosen, rng)
            constraints += more
            answers += [len(answers)] * len(more)
            spent += SECONDS["grid" if kind == "grid" else "odd"]
            if spent >= due:
                due = max(spent + 60, 1.15 * spent)
                fit = fit_embedding(self.vectors, np.array(constraints), np.array(answers))
                curve.append((spent, self.accuracy(fit.vectors)))
        return curve


def time_to(curve: np.ndarray, accuracy: float) -> float:
    """Seconds to an accuracy on a curve ``(T, 2)``, its running best; infinite if never."""
    best = np.maximum.accumulate(curve[:, 1])
    if best[-1] < accuracy:
        return float("inf")
    return float(np.interp(accuracy, best, curve[:, 0]))


def draw(curves: dict[str, np.ndarray], path: Path) -> None:
    """Plot the curves."""
    height, width, margin = 480, 760, 60
    image = np.full((height, width, 3), 255, np.uint8)
    points = np.concatenate(list(curves.values()))
    low, high = points[:, 1].min() - 0.01, points[:, 1].max() + 0.01
    right = points[:, 0].max()

    def place(curve: np.ndarray) -> np.ndarray:
        x = margin + curve[:, 0] / right * (width - margin - 20)
        y = height - margin + 10 - (curve[:, 1] - low) / (high - low) * (height - margin - 20)
        return np.stack([x, y], axis=1).round().astype(np.int32)

    def write(text: str, x: int, y: int, color: tuple[int, int, int] = (30, 30, 30)) -> None:
        cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1, cv2.LINE_AA)

    for share in np.linspace(low, high, 6)[1:]:
        y = int(place(np.array([[0, share]]))[0, 1])
        cv2.line(image, (margin, y), (width - 20, y), (225, 225, 225), 1)
        write(f"{share:.2f}", 12, y + 4)
    for seconds in np.linspace(0, right, 5):
        write(f"{seconds:.0f} s", int(place(np.array([[seconds, low]]))[0, 0]) - 28, height - 20)
    for k, (name, curve) in enumerate(curves.items()):
        cv2.polylines(image, [place(curve)], False, COLORS[name], 2, cv2.LINE_AA)
        write(name, width - 120, height - 120 + 20 * k, COLORS[name])
    write("held-out triplet accuracy against simulated seconds of work", margin, 16)
    write_png(image, path)


def find_clickers(store: Store, embedder: Embedder, seed: int) -> tuple[int, int, int]:
    """True positives, flagged, and clickers among 50 annotators of whom a tenth click by chance."""
    desk = Desk(store, LiveIndex(store, embedder.weights), seed=seed)
    options = SimulateOptions(annotators=50, answers=50 * 40, noise=0.1, clickers=0.1, seed=seed)
    _, clickers = simulate(store, desk, Oracle(store, embedder.weights), options)
    people = [p for p in measure_quality(store).annotators if p.id.startswith(f"sim:{seed}-")]
    flagged = {person.id for person in people if person.clicker > 0.5}
    return len(flagged & set(clickers)), len(flagged), len(clickers)


def main(config: LearningConfig) -> None:
    """Print times to the same accuracy, write the curves, and count the clickers that are found."""
    with tempfile.TemporaryDirectory() as folder:
        store, embedder = Store(Path(folder) / "labels.db"), Embedder()
        fill_builtin(store, embedder)
        index = build_index(store, embedder.weights, is_fitted=False)
        study = Study(index.vectors, Oracle(store, embedder.weights).vectors(index.ids), config.noise)
        curves = {
            kind: np.mean([study.run(kind, config.seconds, seed) for seed in range(config.seeds)], axis=0)
            for kind in COLORS
        }
        draw(curves, config.out)
        print(f"{len(index.ids)} renders; accuracy at the start {curves['random'][0, 1]:.3f}")
        final = curves["random"][:, 1].max()
        for share in (0.5, 0.75, 1.0):
            goal = curves["random"][0, 1] + share * (final - curves["random"][0, 1])
            times = {kind: time_to(curve, goal) for kind, curve in curves.items()}
            ratios = ", ".join(f"{kind} {times['random'] / times[kind]:.2f} x" for kind in ("active", "grid"))
            print(f"to {goal:.3f}: random {times['random']:.0f} s; faster by {ratios}")
        counts = np.zeros(3, int)
        for seed in range(config.clicker_seeds):
            fresh = Store(Path(folder) / f"clickers{seed}.db")
            store.db.conn.backup(fresh.db.conn)
            change_settings(fresh, quota=40)
            counts += find_clickers(fresh, embedder, seed)
    found, flagged, clickers = counts
    print(f"clickers: precision {found / max(flagged, 1):.2f}, recall {found / clickers:.2f} ({clickers} in all)")


if __name__ == "__main__":
    main(tyro.cli(LearningConfig, description=__doc__))
