"""Accuracy on renders whose rigs are known: faces are found in the pictures as in anybody's.

    python -m tools.bake_avatars --random 20 --first 1000 --texture 512 --out HELD_OUT   # in the bake environment
    python -m training.render_faces --avatars HELD_OUT --labels labels.csv --out RENDERS \\
        --count 200 --color --is-natural --seed 9
    python -m benchmarks.known_rigs --renders RENDERS [--peer peer.npz]

``peer.npz`` comes from ``benchmarks/mediapipe_rigs.py``. Prints Pearson r over the pictures for every
channel whose standard deviation is above 0.03.
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


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson r of each column, 0 where one is constant."""
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.maximum(np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0), 1e-9)


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
    moving = truth.std(0) > 0.03
    ours = correlation(found, truth)
    peer = correlation(np.load(config.peer)["rigs"], truth) if config.peer else np.full(len(ARKIT), np.nan)
    print(f"{'channel':22s} {'std':>5s} {'ours':>6s} {'peer':>6s}")
    for k in np.flatnonzero(moving):
        print(f"{ARKIT[k]:22s} {truth[:, k].std():5.2f} {ours[k]:6.2f} {peer[k]:6.2f}")
    print(f"{len(truth)} pictures, {missing} without a face, {moving.sum()} moving channels")
    print(f"mean r: ours {ours[moving].mean():.3f}, peer {peer[moving].mean():.3f}")


if __name__ == "__main__":
    main(tyro.cli(KnownRigsConfig, description=__doc__))
