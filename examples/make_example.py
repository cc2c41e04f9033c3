"""Make the example the app opens with: a rendered actor performs, an avatar plays it.

    make example

Writes ``examples/actor.mp4`` (one of the avatars, acting), ``examples/result`` (another one, driven by
that clip as any video would drive it) and README's picture (moments of it, with others).
"""

import tempfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from freeavatar.avatars import load_avatar
from freeavatar.files import write_png
from freeavatar.pipeline import AnimateOptions, animate
from freeavatar.render import Light, Lighting, Look, Renderer
from freeavatar.video import VideoReader, VideoWriter

HERE = Path(__file__).parent
ACTOR, AVATAR = "ravi", "ines"
TEASER_AVATARS = ("ines", "pip", "moss")
MOMENTS = (1.5, 2.8, 4.0, 5.1)
"""Seconds shown in the picture."""
RATE = Fraction(25)
SECONDS = 9.0
SIZE = (480, 640)

_BOTH = ("Left", "Right")


def _pair(name: str, weight: float) -> dict[str, float]:
    return {name + side: weight for side in _BOTH}


SCRIPT: tuple[tuple[float, dict[str, float], tuple[float, float, float]], ...] = (
    (0.0, {}, (0, 0, 0)),
    (0.7, {}, (-3, 2, 0)),
    (1.5, {**_pair("mouthSmile", 0.9), **_pair("cheekSquint", 0.6), "jawOpen": 0.12}, (6, -4, 3)),
    (2.2, {**_pair("mouthSmile", 0.4)}, (2, 0, 0)),
    (2.8, {**_pair("eyeWide", 0.8), **_pair("browOuterUp", 0.9), "browInnerUp": 0.9, "jawOpen": 0.6}, (0, -8, 0)),
    (3.5, {}, (0, 2, 0)),
    (4.0, {"eyeBlinkLeft": 1.0, "mouthSmileLeft": 0.7, "cheekSquintLeft": 0.8}, (-10, 0, -4)),
    (4.5, {}, (-4, 0, 0)),
    (5.1, {"mouthPucker": 1.0, **_pair("browDown", 0.4)}, (4, 4, 2)),
    (5.7, {"mouthLeft": 0.9}, (8, 0, 0)),
    (6.3, {"mouthRight": 0.9}, (-8, 0, 0)),
    (7.0, {**_pair("browDown", 1.0), **_pair("noseSneer", 0.9), **_pair("mouthFrown", 0.7)}, (0, 5, 0)),
    (7.8, {"jawOpen": 0.35, **_pair("mouthSmile", 0.8), **_pair("mouthUpperUp", 0.5)}, (5, -5, 2)),
    (8.5, {}, (0, 0, 0)),
    (9.0, {}, (0, 0, 0)),
)  # fmt: skip
"""Key poses: second, rig weights, head (yaw, pitch, roll in degrees)."""
BLINKS = (0.4, 2.4, 3.3, 6.0, 8.6)
LIGHTING = Lighting(
    (Light((0.7, 0.5, 0.7), (1.9, 1.7, 1.45)), Light((-0.8, 0.1, 0.5), (0.5, 0.55, 0.65))),
    sky=(0.5, 0.5, 0.52), ground=(0.3, 0.26, 0.22),
)  # fmt: skip


def perform(names: tuple[str, ...], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The script as rig weights ``(T, K)`` and head angles ``(T, 3)``, eased between key poses."""
    keys = np.array([second for second, _, _ in SCRIPT])
    rigs = np.array([[pose.get(name, 0.0) for name in names] for _, pose, _ in SCRIPT])
    heads = np.array([head for _, _, head in SCRIPT], float)
    k = np.clip(np.searchsorted(keys, times, side="right") - 1, 0, len(keys) - 2)
    t = np.clip((times - keys[k]) / (keys[k + 1] - keys[k]), 0, 1)[:, None]
    t = t * t * (3 - 2 * t)
    weights, head = rigs[k] + t * (rigs[k + 1] - rigs[k]), heads[k] + t * (heads[k + 1] - heads[k])
    blink = np.exp(-(((times[:, None] - BLINKS) / 0.07) ** 2)).max(1)
    for side in _BOTH:
        column = names.index(f"eyeBlink{side}")
        weights[:, column] = np.maximum(weights[:, column], blink)
    return weights.astype(np.float32), head.astype(np.float32)


def film_actor(path: Path) -> None:
    """Render the actor's clip."""
    avatar = load_avatar(ACTOR)
    times = np.arange(int(SECONDS * RATE)) / float(RATE)
    weights, head = perform(avatar.target_names, times)
    renderer = Renderer(avatar)
    camera = renderer.camera("bust")
    look = Look(SIZE, LIGHTING, ((0.62, 0.60, 0.56), (0.46, 0.43, 0.40)))
    with VideoWriter(path, size=SIZE, rate=RATE) as writer:
        for k, moment in enumerate(times):
            writer.write(renderer.picture(weights[k], head[k], look=look, camera=camera), float(moment))


def write_teaser(path: Path) -> None:
    """Write moments of the clip with two avatars, one below the other."""
    with tempfile.TemporaryDirectory() as folder:
        report = animate(HERE / "actor.mp4", TEASER_AVATARS, out=folder)
        assert report.combined is not None
        frames = [frame.image for frame in VideoReader(report.combined)]
    rows = [cv2.resize(frames[int(t * RATE)], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for t in MOMENTS]
    half = len(rows) // 2
    write_png(np.concatenate([np.concatenate(rows[:half]), np.concatenate(rows[half:])], axis=1), path)


def main() -> None:
    """Write the clip, its result and the picture."""
    film_actor(HERE / "actor.mp4")
    write_teaser(HERE.parent / "docs" / "teaser.png")
    report = animate(HERE / "actor.mp4", [AVATAR], out=HERE / "result", options=AnimateOptions())
    assert report.take is not None
    report.take.unlink()
    print(report.summary())


if __name__ == "__main__":
    main()
