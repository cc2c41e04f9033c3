"""Videos that are odd, broken or none at all, each made here, and what ``animate`` says or makes of them.

python -m benchmarks.odd_videos                      # all but the long one: about two minutes
python -m benchmarks.odd_videos --only long --long-rate 4
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import tyro

from benchmarks.memory import loop
from freeavatar.avatars import portrait_of
from freeavatar.errors import FreeAvatarError
from freeavatar.pipeline import AnimateOptions, animate, load_take
from freeavatar.video import VideoReader, VideoWriter

ACTOR = Path(__file__).parents[1] / "examples" / "actor.mp4"
LONG = 11 * 60
"""Seconds of the long clip."""


@dataclass(frozen=True)
class OddVideosConfig:
    """What to make and run."""

    only: tuple[str, ...] = ()
    """Names of the rows to run; default all but ``long``."""
    clip: Path = ACTOR
    """What the good parts are cut from."""
    long_rate: int = 25
    """Frames a second of the long clip."""


@dataclass(frozen=True)
class Odd:
    """One odd input."""

    what: str
    make: Callable[[Path, list[np.ndarray]], None]
    """Writes it, given some frames of an actor."""
    expected: str
    """What the sentence or the result must match."""
    face: int = 0
    is_big: bool = False
    """Run it in a process of its own and show the peak memory."""


def write(path: Path, images: Sequence[np.ndarray], rate: int = 25) -> None:
    """Write images of one size as a video."""
    with VideoWriter(path, size=images[0].shape[:2], rate=Fraction(rate)) as writer:
        for k, image in enumerate(images):
            writer.write(image, k / rate)


def write_sound(path: Path, kind: str = "mp4") -> None:
    """Write two seconds of a tone and no picture."""
    with av.open(str(path), "w", format=kind) as output:
        stream = output.add_stream("aac" if kind == "mp4" else "pcm_s16le", 48000, layout="mono")
        tone = np.sin(np.arange(96000) / 20).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def crossing(steps: int = 60) -> list[np.ndarray]:
    """Two portraits that swap places; kofi, from the left, passes behind ines."""
    kofi, ines = (
        cv2.resize(cv2.imread(str(portrait_of(name)))[..., ::-1], (side, side), interpolation=cv2.INTER_AREA)
        for name, side in (("kofi", 240), ("ines", 230))
    )
    images = []
    for at in np.linspace(0, 400, steps).round().astype(int):
        image = np.full((300, 640, 3), 90, np.uint8)
        image[20:260, at : at + 240] = kofi
        image[40:270, 405 - at : 635 - at] = ines
        images.append(image)
    return images


def zoomed(image: np.ndarray) -> np.ndarray:
    """The lower right three quarters of an image at its full size: another shot of the same scene."""
    height, width = image.shape[:2]
    return cv2.resize(image[height // 8 :, width // 5 :], (width, height))


def portrait_frame(name: str, like: np.ndarray) -> np.ndarray:
    """Somebody else in a frame of the same size."""
    side = like.shape[0]
    image = np.full_like(like, 60)
    image[:, :side] = cv2.resize(cv2.imread(str(portrait_of(name)))[..., ::-1], (side, side))
    return image


def half_of(path: Path, frames: list[np.ndarray]) -> None:
    """Write a video and cut its file in the middle."""
    write(path, frames)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def noise(frames: list[np.ndarray]) -> list[np.ndarray]:
    """As many pictures of nothing."""
    return list(np.random.default_rng(0).integers(0, 255, (len(frames), 240, 320, 3), np.uint8))


_BROKEN = r"cannot be opened as a video .* choose a video such as an MP4"
ODD = {
    "text": Odd("a text file named .mp4", lambda p, f: p.write_text("Dear actor,\n" * 99) and None, _BROKEN),
    "empty": Odd("0 bytes", lambda p, f: p.touch(), _BROKEN),
    "bytes": Odd("random bytes", lambda p, f: p.write_bytes(np.random.default_rng(0).bytes(99_999)) and None, _BROKEN),
    "sound": Odd("sound without picture, .mp4", lambda p, f: write_sound(p), "has no video track, only sound"),
    "wav": Odd("a .wav named .mp4", lambda p, f: write_sound(p, "wav"), "has no video track, only sound"),
    "half": Odd("half of a file", half_of, "cannot be opened as a video|[0-9]+ frames, 0 without"),
    "no_face": Odd("no face", lambda p, f: write(p, noise(f)), "no face was found in no_face.mp4"),
    "one": Odd("1 frame", lambda p, f: write(p, f[:1]), "^1 frames, 0 without"),
    "fast": Odd("240 frames a second", lambda p, f: write(p, f, 240), "^40 frames, 0 without"),
    "slow": Odd("1 frame a second", lambda p, f: write(p, f[::8], 1), "^5 frames, 0 without"),
    "tiny": Odd("64 x 48", lambda p, f: write(p, [cv2.resize(i, (64, 48)) for i in f]), "^40 frames|no face was found"),
    "cut": Odd(
        "a cut to another shot of the actor", lambda p, f: write(p, f[:20] + [zoomed(i) for i in f[20:]]),
        "^40 frames, 0 without",
    ),
    "other": Odd(
        "a cut to somebody else", lambda p, f: write(p, f[:20] + [portrait_frame("kofi", f[0])] * 20),
        "^40 frames, 0 without",
    ),
    "swap0": Odd("two who swap places: the first", lambda p, f: write(p, crossing()), "moved -?400 px$"),
    "swap1": Odd("two who swap places: the second", lambda p, f: write(p, crossing()), "moved -?400 px$", face=1),
    "third": Odd("two people, the third asked for", lambda p, f: write(p, crossing(4)), "only 2 faces", face=2),
    "8k": Odd(
        "7680 x 4320, 10 frames", lambda p, f: write(p, [cv2.resize(i, (7680, 4320)) for i in f[:10]]),
        "^10 frames, 0 without", is_big=True,
    ),
    "minute": Odd("1 minute", lambda p, f: None, "^[0-9]+ frames", is_big=True),
    "long": Odd("11 minutes", lambda p, f: None, "^[0-9]+ frames", is_big=True),
}  # fmt: skip


def outcome(path: Path, out: Path, face: int) -> str:
    """What a run on a small avatar picture gives, or the sentence it ends with."""
    try:
        report = animate(path, out=out, options=AnimateOptions(height=96, face=face))
    except FreeAvatarError as error:
        return str(error)
    assert report.take is not None
    points = load_take(report.take).track.points
    seen = points[points.any((1, 2))][:, :, 0].mean(1)
    step = round(float(seen[-1] - seen[0]) / 20) * 20
    return f"{report.frames} frames, {report.frames_without_face} without a face, moved {step} px"


def measured(path: Path, out: Path, face: int) -> str:
    """:func:`outcome` in a process of its own, with its peak memory (Linux; ``ru_maxrss`` would count the parent's)."""
    command = [sys.executable, "-c", _MEASURE, str(path), str(out), str(face)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


_MEASURE = """
import re, sys
from pathlib import Path
from benchmarks.odd_videos import outcome
text = outcome(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
peak = int(re.search(r"VmHWM:\\s*([0-9]+)", Path("/proc/self/status").read_text())[1])
print(text, f"peak {peak / 1024:.0f} MB", sep=", ")
"""


def main(config: OddVideosConfig) -> int:
    """Print a row per input; returns 1 if one is not as expected."""
    frames = [frame.image for frame, _ in zip(VideoReader(config.clip), range(40), strict=False)]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in config.only or [name for name in ODD if name not in ("minute", "long")]:
            odd, path = ODD[name], Path(folder) / f"{name}.mp4"
            if name in ("minute", "long"):
                loop(
                    config.clip, LONG if name == "long" else 60, path, size=(240, 320), rate=Fraction(config.long_rate)
                )
            else:
                odd.make(path, frames)
            started = time.monotonic()
            text = (measured if odd.is_big else outcome)(path, Path(folder) / name, odd.face)
            is_right = re.search(odd.expected, text) is not None
            wrong += not is_right
            seconds = time.monotonic() - started
            print(f"| {odd.what} | {text} | {seconds:.1f} s |{'' if is_right else ' NOT AS EXPECTED |'}", flush=True)
            path.unlink()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(OddVideosConfig, description=__doc__)))
