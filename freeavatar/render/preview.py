"""Pictures that show an avatar off: its portrait, every control by itself, and controls together.

mouthClose and tongueOut are made for an open jaw (in ARKit's definition too), so they are shown on one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.files import make_folder, write_png
from freeavatar.render.camera import Camera
from freeavatar.render.look import Look
from freeavatar.render.renderer import Renderer
from freeavatar.rig import ARKIT

CELL = 256
COLUMNS = 9
OPEN_JAW = {"mouthClose": 1.0, "tongueOut": 0.5}
"""Weight of jawOpen beneath the controls that follow a blendshape."""
PORTRAIT_SIZE = (640, 512)
PORTRAIT_YAW = 28.0
"""Degrees from which a portrait is taken."""


def _both(name: str, weight: float) -> dict[str, float]:
    return {f"{name}Left": weight, f"{name}Right": weight}


SLIGHT_SMILE = {**_both("mouthSmile", 0.35), **_both("cheekSquint", 0.15), **_both("mouthDimple", 0.1)}
NATURAL: dict[str, Mapping[str, float]] = {
    "smile": {**_both("mouthSmile", 0.7), **_both("cheekSquint", 0.4)},
    "laugh": {
        **_both("mouthSmile", 0.9), **_both("cheekSquint", 0.8), "jawOpen": 0.4, **_both("mouthUpperUp", 0.4),
        **_both("eyeSquint", 0.5),
    },
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.6, "mouthSmileLeft": 0.6, "mouthSmileRight": 0.2},
    "surprise": {"browInnerUp": 0.8, **_both("browOuterUp", 0.8), **_both("eyeWide", 0.7), "jawOpen": 0.45},
    "anger": {
        **_both("browDown", 0.9), **_both("noseSneer", 0.6), **_both("mouthPress", 0.5), **_both("eyeSquint", 0.4),
    },
    "sadness": {"browInnerUp": 0.8, **_both("mouthFrown", 0.7), "mouthShrugLower": 0.5, **_both("eyeLookDown", 0.3)},
    "disgust": {
        **_both("noseSneer", 0.9), **_both("mouthUpperUp", 0.5), **_both("browDown", 0.4), **_both("eyeSquint", 0.5),
    },
    "kiss": {"mouthPucker": 0.9, "mouthFunnel": 0.2, **_both("eyeBlink", 0.8)},
    "ah": {"jawOpen": 0.6, **_both("mouthLowerDown", 0.3)},
    "oh": {"jawOpen": 0.4, "mouthFunnel": 0.8},
    "ee": {**_both("mouthStretch", 0.5), **_both("mouthSmile", 0.3), **_both("mouthLowerDown", 0.5), "jawOpen": 0.12},
    "doubt": {"browOuterUpLeft": 0.9, "browDownRight": 0.7, "mouthLeft": 0.5, **_both("mouthPress", 0.4)},
}  # fmt: skip
"""Expressions as people make them, in ARKit's blendshapes."""
EXTREME: dict[str, Mapping[str, float]] = {
    "jaw + smile": {"jawOpen": 1.0, **_both("mouthSmile", 1.0)},
    "jaw + pucker": {"jawOpen": 1.0, "mouthPucker": 1.0},
    "jaw + frown + stretch": {"jawOpen": 1.0, **_both("mouthFrown", 1.0), **_both("mouthStretch", 1.0)},
    "blink + look down": {**_both("eyeBlink", 1.0), **_both("eyeLookDown", 1.0)},
    "blink + squint + cheek": {**_both("eyeBlink", 1.0), **_both("eyeSquint", 1.0), **_both("cheekSquint", 1.0)},
    "wide + brows up": {**_both("eyeWide", 1.0), **_both("browOuterUp", 1.0), "browInnerUp": 1.0},
    "brows down + sneer": {**_both("browDown", 1.0), **_both("noseSneer", 1.0), **_both("eyeSquint", 1.0)},
    "puff + pucker": {"cheekPuff": 1.0, "mouthPucker": 1.0},
    "smile + pucker": {**_both("mouthSmile", 1.0), "mouthPucker": 1.0},
    "jaw aside + open": {"jawLeft": 1.0, "jawOpen": 0.8, "mouthLeft": 1.0},
    "tongue": {"tongueOut": 1.0, "jawOpen": 0.8, **_both("eyeBlink", 1.0)},
    "rolled + pressed lips": {"mouthRollUpper": 1.0, "mouthRollLower": 1.0, **_both("mouthPress", 1.0)},
}  # fmt: skip
"""Sums that break rigs."""


def write_previews(avatar: Avatar, folder: Path) -> None:
    """Write portrait, contact sheet and combinations of an avatar into a folder."""
    write_portrait(avatar, make_folder(folder) / f"{avatar.name}.png")
    write_contact_sheet(avatar, folder)
    write_combinations_sheet(avatar, folder)


def write_portrait(avatar: Avatar, path: Path) -> None:
    """Render the avatar in three-quarter view with a slight smile, 512 pixels wide and 640 high."""
    (low, high), (face_low, face_high) = avatar.head_box, avatar.face_box
    height, width = PORTRAIT_SIZE
    bottom = float(face_low[1] - 0.55 * (face_high[1] - face_low[1]))
    middle = (float(low[0] + high[0]) / 2, (float(high[1]) + bottom) / 2, float(low[2] + high[2]) / 2)
    turn = np.radians(PORTRAIT_YAW)
    span = (high[0] - low[0]) * np.cos(turn) + (high[2] - low[2]) * np.sin(turn)
    extent = 1.10 * max(float(high[1]) - bottom, float(span) * height / width)
    camera, renderer = Camera(middle, extent, yaw=PORTRAIT_YAW), Renderer(avatar)
    weights = avatar.control_weights(_arkit(SLIGHT_SMILE)[None])[0]
    write_png(renderer.picture(weights, look=Look(PORTRAIT_SIZE), camera=camera), path)


def write_contact_sheet(avatar: Avatar, folder: Path) -> Path:
    """Render the neutral face and each target at weight 1 into ``folder/<name>_targets.png``."""
    names = ("neutral", *avatar.target_names)
    weights = np.eye(len(names), dtype=np.float32)[:, 1:]
    open_jaw = avatar.drive[:, ARKIT.index("jawOpen")]
    for name, amount in OPEN_JAW.items():
        weights[1:][avatar.drive[:, ARKIT.index(name)] > 0.5] += amount * open_jaw
    return _write_sheet(avatar, names, weights, make_folder(folder) / f"{avatar.name}_targets.png", COLUMNS)


def write_combinations_sheet(avatar: Avatar, folder: Path) -> Path:
    """Render natural, then extreme combinations into ``folder/<name>_combinations.png``."""
    combinations = {**NATURAL, **EXTREME}
    weights = avatar.control_weights(np.stack([_arkit(mix) for mix in combinations.values()]))
    path = make_folder(folder) / f"{avatar.name}_combinations.png"
    return _write_sheet(avatar, tuple(combinations), weights, path, 6)


def _arkit(mix: Mapping[str, float]) -> np.ndarray:
    return np.array([mix.get(name, 0.0) for name in ARKIT], np.float32)


def _write_sheet(avatar: Avatar, names: Sequence[str], weights: np.ndarray, path: Path, columns: int) -> Path:
    renderer = Renderer(avatar)
    low, high = avatar.face_box
    middle = (low + high) / 2
    camera = Camera((float(middle[0]), float(middle[1]), float(high[2])), float(high[1] - low[1]) * 1.15)
    rows = -(-len(names) // columns)
    sheet = np.zeros((rows * CELL, columns * CELL, 3), np.uint8)
    for k, name in enumerate(names):
        cell = renderer.picture(weights[k], look=Look((CELL, CELL)), camera=camera)
        cv2.putText(cell, name, (6, CELL - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA)
        y, x = k // columns * CELL, k % columns * CELL
        sheet[y : y + CELL, x : x + CELL] = cell
    write_png(sheet, path)
    return path
