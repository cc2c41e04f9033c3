"""Speed of ``animate`` on one clip by stage, start-up included, and of its face part beside MediaPipe's.

    python -m benchmarks.speed CLIP.mp4 [--peer "python benchmarks/mediapipe_rigs.py --task face_landmarker.task"]

``--peer`` is a command, run in the same minute, to which ``--clip CLIP.mp4`` is added.
"""

import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from freeavatar.avatars import DEFAULT_AVATAR, builtin_avatars, load_avatar
from freeavatar.faces import track_faces
from freeavatar.models import load_bundle
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.pipeline.tracking import TrackBuilder
from freeavatar.video import VideoReader


@dataclass(frozen=True)
class SpeedConfig:
    """What to time."""

    clip: tyro.conf.Positional[Path]
    peer: str = ""
    """Command that times a peer."""


def main(config: SpeedConfig) -> None:
    """Print seconds by stage with one avatar and four, and milliseconds a frame of the face part."""
    info = VideoReader(config.clip).info
    print(f"{config.clip.name}: {info.size[1]} x {info.size[0]}, {info.frames} frames at {float(info.rate):g}/s")
    for count in (1, 4):
        command = [sys.executable, "-m", "freeavatar", "animate", str(config.clip)]
        command += [word for name in builtin_avatars()[:count] for word in ("--avatar", name)]
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            done = subprocess.run([*command, "--out", out], stdout=subprocess.PIPE, text=True, check=True)
            total = time.perf_counter() - start
        speed = info.frames / float(info.rate) / total
        print(f"animate, avatars: {count}, start-up included: {speed:.2f} s of video a second")
        print(f"  {done.stdout.splitlines()[-1]}, all {total:.1f} s")
    frames = list(VideoReader(config.clip))
    bundle = load_bundle()
    builder = TrackBuilder(bundle.encoder)
    start = time.perf_counter()
    for tracked in track_faces(frames):
        builder.add(tracked)
    track = builder.finish(config.clip.name)
    act(track.features, identity_of(load_avatar(DEFAULT_AVATAR), bundle), bundle)
    print(f"ours: {1000 * (time.perf_counter() - start) / len(frames):.1f} ms a frame over {len(frames)} frames")
    if config.peer:
        print(subprocess.run([*shlex.split(config.peer), "--clip", config.clip], capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main(tyro.cli(SpeedConfig, description=__doc__))
