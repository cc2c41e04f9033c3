"""Whether a bundle still follows real clips: Live Link Face CSVs of some clips, without rendering anything.

    python -m benchmarks.tracking --clips CLIPS --weights default --out DIR
    python -m benchmarks.tracking --clips examples --weights default --out /tmp/csv   # under a minute

Writes ``DIR/<clip>.csv`` for every .mp4 in CLIPS, or for ``--names`` alone, to be scored against other tracks.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from freeavatar.avatars import load_avatar
from freeavatar.export import write_live_link_csv
from freeavatar.files import make_folder
from freeavatar.models import open_bundle
from freeavatar.pipeline import AnimateOptions
from freeavatar.pipeline.animation import perform
from freeavatar.pipeline.editing import edit
from freeavatar.pipeline.sources import open_source
from freeavatar.pipeline.tracking import TrackBuilder, tracked_frames


@dataclass(frozen=True)
class TrackingConfig:
    """What to follow, with which weights."""

    clips: Path
    out: Path
    weights: str = "default"
    """Name or folder of a bundle."""
    names: tuple[str, ...] = ()
    avatar: str = "ines"


def main(config: TrackingConfig) -> None:
    """Write one CSV a clip."""
    bundle, avatar, options = open_bundle(config.weights), load_avatar(config.avatar), AnimateOptions()
    for path in sorted(config.clips.glob("*.mp4")):
        if config.names and path.stem not in config.names:
            continue
        source = open_source(path)
        builder = TrackBuilder(bundle.encoder, next(bundle.decoder.parameters()).device)
        for tracked in tracked_frames(source, options):
            builder.add(tracked)
        performance = perform(avatar, builder.finish(path.name), bundle, source.rate)
        write_live_link_csv(edit(performance, options), make_folder(config.out) / f"{path.stem}.csv")
        print(config.out / f"{path.stem}.csv", len(performance.times), "frames")


if __name__ == "__main__":
    main(tyro.cli(TrackingConfig, description=__doc__))
