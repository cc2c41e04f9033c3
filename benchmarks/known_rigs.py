"""Accuracy on renders whose rigs are known: faces are found in the pictures as in anybody's.

    python -m tools.bake_avatars --random 20 --first 1000 --texture 512 --out HELD_OUT   # in the bake environment
    python -m training.render_faces --avatars HELD_OUT --labels labels.csv --out RENDERS \\
        --count 200 --color --is-natural --seed 9
    python -m benchmarks.known_rigs --renders RENDERS [--peer peer.npz]

``peer.npz`` comes from ``benchmarks/mediapipe_rigs.py``. Prints Pearson r over the pictures, the slope
of the answer regressed on the truth and the ratio of their spreads, for every channel whose standard deviation is above
0.03.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from benchmarks.tracks import track_pictures
from freeavatar.avatars import load_avatar
from freeavatar.models import DEFAULT_WEIGHTS, load_bundle
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.rig import ARKIT
from training.measure.figures import correlation


@dataclass(frozen=True)
class KnownRigsConfig:
    """What to measure."""

    renders: Path
    """Folder of training.render_faces --color."""
    peer: Path | None = None
    """Rigs of a peer on the same pictures: ``rigs`` (N, 52)."""
    weights: Path = DEFAULT_WEIGHTS
    avatar: str = "ines"
    """Who plays them; one with ARKit's blendshapes."""


def predict(frames: np.ndarray, config: KnownRigsConfig) -> tuple[np.ndarray, int]:
    """Rigs ``(N, 52)`` of pictures ``(N, H, W, 3)``, and in how many no face was found."""
    bundle = load_bundle(config.weights)
    track = track_pictures(frames, bundle)
    identity = identity_of(load_avatar(config.avatar), bundle)
    return act(track.features, identity, bundle), int((~track.found).sum())


def main(config: KnownRigsConfig) -> None:
    """Print the table."""
    truth = np.load(config.renders / "rigs.npy")
    found, missing = predict(np.load(config.renders / "frames.npy", mmap_mode="r"), config)
    moving = np.flatnonzero(truth.std(0) > 0.03)
    weight = truth[:, moving].std(0)
    rows = {"ours": found} | ({"peer": np.load(config.peer)["rigs"]} if config.peer else {})
    print(f"{'channel':22s} {'std':>5s}" + "".join(f"  {name}: r, slope, spread" for name in rows))
    figures = {name: strength(values[:, moving], truth[:, moving]) for name, values in rows.items()}
    for k, channel in enumerate(moving):
        parts = "".join(f"  {r[k]:8.2f} {slope[k]:6.2f} {spread[k]:6.2f}" for r, slope, spread in figures.values())
        print(f"{ARKIT[channel]:22s} {weight[k]:5.2f}{parts}")
    print(f"{len(truth)} pictures, {missing} without a face, {len(moving)} moving channels")
    for name, (r, slope, spread) in figures.items():
        means = ", ".join(f"{np.average(v, weights=weight):.3f}" for v in (r, slope, spread))
        print(f"{name}: mean r {r.mean():.3f}; r, slope, spread weighted by the truth's spread {means}")


def strength(found: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each column, Pearson r, the slope of ``found`` regressed on ``truth``, and the ratio of their spreads."""
    r, spread = correlation(found, truth), found.std(0) / truth.std(0)
    return r, r * spread, spread


if __name__ == "__main__":
    main(tyro.cli(KnownRigsConfig, description=__doc__))
