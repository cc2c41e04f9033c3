"""Speed of ``animate`` on one clip, stage by stage, and of its face part beside MediaPipe's.

    python -m benchmarks.speed CLIP.mp4 [--peer "python benchmarks/mediapipe_rigs.py --task face_landmarker.task"]

``--peer`` is a command, run in the same minute, to which ``--clip CLIP.mp4`` is added.
"""

import shlex
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from freeavatar.faces import track_faces
from freeavatar.models import load_bundle
from freeavatar.pipeline import animate
from freeavatar.pipeline.tracking import TrackBuilder
from freeavatar.video import VideoReader


@dataclass(frozen=True)
class SpeedConfig:
    """What to time."""

    clip: tyro.conf.Positional[Path]
    peer: str = ""
    """Command that times a peer."""


def main(config: SpeedConfig) -> None:
    """Print seconds by stage, and milliseconds a frame of the face part."""
    info = VideoReader(config.clip).info
    with tempfile.TemporaryDirectory() as out:
        animate(config.clip, out=out)  # compiles and caches what is compiled at first use
        start = time.perf_counter()
        report = animate(config.clip, out=out)
        total = time.perf_counter() - start
    print(f"{config.clip.name}: {info.size[1]} x {info.size[0]}, {report.frames} frames at {float(info.rate):g}/s")
    print(f"animate: {report.frames / float(info.rate) / total:.2f} s of video a second")
    for stage, seconds in report.seconds.items():
        print(f"  {stage:26s} {seconds:6.2f} s  {100 * seconds / total:4.0f} %")
    frames = list(VideoReader(config.clip))
    bundle = load_bundle()
    builder = TrackBuilder(bundle.encoder, torch.device("cpu"))
    start = time.perf_counter()
    for tracked in track_faces(frames):
        builder.add(tracked)
    track = builder.finish(config.clip.name)
    bundle.decoder(torch.from_numpy(track.features))
    print(f"ours: {1000 * (time.perf_counter() - start) / len(frames):.1f} ms a frame over {len(frames)} frames")
    if config.peer:
        print(subprocess.run([*shlex.split(config.peer), "--clip", config.clip], capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main(tyro.cli(SpeedConfig, description=__doc__))
