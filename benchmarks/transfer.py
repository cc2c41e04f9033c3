"""Does an avatar's face read as the actor's? Figures on real clips, by our embedding and by a judge of its own.

    python -m benchmarks.transfer --clips CLIPS --out DIR                     # our embedding; writes what was drawn
    python benchmarks/mediapipe_rigs.py --task face_landmarker.task --frames DIR/ines/frames.npy \\
        --out DIR/ines/peer.npz                                              # in the peer's own environment
    python -m benchmarks.transfer --clips CLIPS --out DIR                     # again: now the judge's figures as well
    python -m benchmarks.transfer --clips CLIPS --out DIR2 --by-reference     # avatars driven by the peer's weights

CLIPS holds videos and ``reference.npz`` with rigs of the peer per clip and frame. Anchor is an actor's frame, positive
the avatar's picture of it, negative the avatar's picture of another frame of the clip whose reference rig is farther
than the clip's median distance; a triplet counts if d(a, p) < d(a, n). Chance is 0.5. The avatar's pictures are taken
from the front, its head at rest, and its face is found in them as in anybody's.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.tracks import track_clip, track_pictures
from freeavatar.avatars import builtin_avatars, load_avatar, retarget
from freeavatar.models import DEFAULT_WEIGHTS, Bundle, load_bundle
from freeavatar.performance.editing import edit, neutral_of
from freeavatar.pipeline import AnimateOptions
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.pipeline.sources import open_source
from freeavatar.pipeline.tracking import Track
from freeavatar.render import Look, Renderer
from freeavatar.rig import ARKIT
from training.measure.figures import bootstrap


@dataclass(frozen=True)
class TransferConfig:
    """What to measure."""

    clips: Path
    """Folder of videos with reference.npz."""
    out: Path
    """Folder for what was drawn."""
    weights: Path = DEFAULT_WEIGHTS
    avatars: tuple[str, ...] = ()
    """Default: the whole cast."""
    only: tuple[str, ...] = ()
    """Clips by name; default all of the reference."""
    frames: int = 60
    """Frames of each clip, evenly spread."""
    triplets: int = 2000
    by_reference: bool = False
    """Drive the avatars by the reference rigs."""
    size: int = 384


@dataclass(frozen=True)
class Shown:
    """Chosen frames of a clip."""

    clip: str
    frames: np.ndarray
    """``(N,)``."""
    reference: np.ndarray
    """Rigs of the peer, ``(N, 52)``."""
    track: Track
    """Of the whole clip."""


def watch(config: TransferConfig, bundle: Bundle) -> list[Shown]:
    """Track every clip, and choose frames with a face."""
    reference = np.load(config.clips / "reference.npz")
    order = [list(reference["channels"]).index(name) if name in reference["channels"] else -1 for name in ARKIT]
    found = []
    for clip in config.only or [name for name in reference.files if name != "channels"]:
        rigs = np.pad(reference[clip].astype(np.float32), ((0, 0), (0, 1)))[:, order]
        track = track_clip(config.clips / f"{clip}.mp4", bundle)
        seen = np.flatnonzero(track.found[: len(rigs)])
        frames = seen[np.linspace(0, len(seen) - 1, min(config.frames, len(seen))).astype(int)]
        found.append(Shown(clip, frames, rigs[frames], track))
    return found


def draw_triplets(shown: list[Shown], count: int) -> np.ndarray:
    """Clip, frame and other frame of each triplet, ``(count, 3)`` numbers into ``shown`` and its frames."""
    rng, rows = np.random.default_rng(0), []
    for k in range(count):
        clip = k % len(shown)
        rigs = shown[clip].reference
        anchor = int(rng.integers(len(rigs)))
        distance = np.linalg.norm(rigs - rigs[anchor], axis=1)
        far = np.flatnonzero(distance > np.median(_distances(rigs)))
        if len(far):
            rows.append((clip, anchor, int(rng.choice(far))))
    return np.array(rows)


def _distances(rigs: np.ndarray) -> np.ndarray:
    apart = np.linalg.norm(rigs[:, None] - rigs[None], axis=2)
    return apart[np.triu_indices(len(rigs), 1)]


def draw_avatar(name: str, shown: list[Shown], bundle: Bundle, config: TransferConfig) -> np.ndarray:
    """The avatar's pictures of all chosen frames, ``(N, S, S, 3)`` uint8, clip after clip."""
    avatar = load_avatar(name)
    renderer, look = Renderer(avatar), Look((config.size, config.size))
    camera, pictures = renderer.camera(), []
    for part in shown:
        if config.by_reference:
            weights = avatar.control_weights(part.reference)
        else:
            rate = open_source(config.clips / f"{part.clip}.mp4").rate
            identity = identity_of(avatar, bundle)
            raw = part.track.curves(act(part.track.features, identity, bundle), rate)
            curves = edit(raw, AnimateOptions(), neutral_of(raw, AnimateOptions()))
            weights = retarget(avatar, curves, identity.drive).weights[part.frames]
        pictures += [renderer.picture(row, look=look, camera=camera) for row in weights]
    return np.stack(pictures)


def score(actor: list[np.ndarray], avatar: list[np.ndarray], triplets: np.ndarray) -> str:
    """The figure, for what a judge sees in the actors' and in the avatar's frames, clip by clip."""
    hits = []
    for clip, frame, other in triplets:
        anchor = actor[clip][frame]
        near, far = (np.linalg.norm(anchor - avatar[clip][k]) for k in (frame, other))
        hits.append(near < far)
    return str(bootstrap(np.array(hits), triplets[:, 0] * 10_000 + triplets[:, 1], chance=0.5))


def main(config: TransferConfig) -> None:
    """Print a line for each avatar and judge."""
    bundle = load_bundle(config.weights)
    shown = watch(config, bundle)
    triplets = draw_triplets(shown, config.triplets)
    ends = np.cumsum([len(part.frames) for part in shown])[:-1]
    seen = [part.track.embeddings[part.frames] for part in shown]
    for name in config.avatars or builtin_avatars():
        folder = config.out / name
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "frames.npy").exists():
            np.save(folder / "frames.npy", draw_avatar(name, shown, bundle, config))
        pictures = np.load(folder / "frames.npy", mmap_mode="r")
        drawn = np.split(track_pictures(pictures, bundle).embeddings, ends)
        print(f"{name:8s} our embedding  {score(seen, drawn, triplets)}")
        if (folder / "peer.npz").exists():
            rigs = np.split(np.load(folder / "peer.npz")["rigs"], ends)
            print(f"{name:8s} the peer       {score([part.reference for part in shown], rigs, triplets)}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(tyro.cli(TransferConfig, description=__doc__))
