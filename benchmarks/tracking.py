"""Whether a bundle still follows real clips: Live Link Face CSVs of some clips, without rendering anything.

    python -m benchmarks.tracking --clips CLIPS --weights default --out DIR
    python -m benchmarks.tracking --clips examples --weights default --out /tmp/csv   # under a minute

Writes ``DIR/<avatar>/<clip>.csv`` for every .mp4 in CLIPS, or for ``--names`` alone, to be scored against other tracks.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.tracks import track_clip
from freeavatar.avatars import load_avatar
from freeavatar.export import write_live_link_csv
from freeavatar.files import make_folder
from freeavatar.models import open_bundle
from freeavatar.performance.editing import edit, neutral_of
from freeavatar.pipeline import AnimateOptions
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.pipeline.sources import open_source


@dataclass(frozen=True)
class TrackingConfig:
    """What to follow, with which weights."""

    clips: Path
    out: Path
    weights: str = "default"
    """Name or folder of a bundle."""
    names: tuple[str, ...] = ()
    avatars: tuple[str, ...] = ("ines",)


def main(config: TrackingConfig) -> None:
    """Write one CSV a clip and avatar."""
    bundle, cast = open_bundle(config.weights), [load_avatar(name) for name in config.avatars]
    for path in sorted(config.clips.glob("*.mp4")):
        if config.names and path.stem not in config.names:
            continue
        track, rate = track_clip(path, bundle), open_source(path).rate
        for avatar in cast:
            raw = track.curves(act(track.features, identity_of(avatar, bundle), bundle), rate)
            curves = edit(raw, AnimateOptions(), neutral_of(raw, AnimateOptions()))
            out = make_folder(config.out / avatar.name) / f"{path.stem}.csv"
            write_live_link_csv(curves, out)
            print(out, len(curves.times), "frames")


if __name__ == "__main__":
    main(tyro.cli(TrackingConfig, description=__doc__))
