"""What stands between a camera and a face: glasses, and a hand before the mouth, painted on a luma crop."""

from dataclasses import dataclass

import cv2
import numpy as np

_WIDEST_YAW = 40.0
"""Degrees beyond which flat glasses would float beside the head."""
_SUBPIXEL = 4
"""Bits of a pixel's fraction that OpenCV draws with."""


@dataclass(frozen=True)
class Glasses:
    """A pair of glasses; lengths in units of the distance between the eyes."""

    width: float
    """Half width of a lens."""
    height: float
    """Half height of a lens."""
    roundness: float
    """Exponent of the superellipse that a lens is: 2 is an ellipse, more is squarer."""
    rim: int
    """Thickness of the rim in crop pixels."""
    shade: float
    """Luma of the rim, in [0, 1]."""
    tint: float
    """How much of the light a lens swallows, in [0, 1]."""
    glare: float
    """Luma that a reflection adds, in [0, 1]."""


@dataclass(frozen=True)
class Hand:
    """Fingers that come into the picture."""

    at: tuple[float, float]
    """Where the middle finger's tip is, against the mouth, in units of the distance between the eyes."""
    angle: float
    """Where the fingers point, in degrees."""
    fingers: int
    tone: float
    """Luma against that of the face."""


@dataclass(frozen=True)
class Props:
    """What is before one face."""

    glasses: Glasses | None = None
    hand: Hand | None = None


def draw_props(rng: np.random.Generator) -> Props:
    """Glasses on one face in six, dark ones on few; a hand before one in twenty."""
    glasses = hand = None
    if rng.uniform() < 1 / 6:
        tint = rng.choice([rng.uniform(0, 0.15), rng.uniform(0.3, 0.8)], p=[0.85, 0.15])
        glasses = Glasses(
            rng.uniform(0.34, 0.46), rng.uniform(0.22, 0.40), rng.uniform(2, 5), int(rng.integers(1, 4)),
            rng.choice([rng.uniform(0, 0.2), rng.uniform(0.2, 0.9)], p=[0.7, 0.3]), tint,
            rng.choice([0.0, rng.uniform(0.1, 0.5)], p=[0.6, 0.4]),
        )  # fmt: skip
    if rng.uniform() < 1 / 20:
        at = (float(rng.normal(0, 0.5)), float(rng.normal(0.1, 0.35)))
        hand = Hand(at, rng.uniform(200, 340), int(rng.integers(1, 5)), rng.uniform(0.8, 1.25))
    return Props(glasses, hand)


def put_on(crop: np.ndarray, points: np.ndarray, yaw: float, props: Props) -> np.ndarray:
    """Paint props on a face.

    Args:
        crop: luma ``(S, S)`` uint8.
        points: eyes, nose and corners of the mouth in the crop, ``(5, 2)``.
        yaw: of the head, in degrees.
        props: what to paint.

    Returns:
        Luma ``(S, S)`` uint8.
    """
    out = crop.astype(np.float32)
    if props.glasses is not None and abs(yaw) < _WIDEST_YAW:
        out = _with_glasses(out, points, props.glasses)
    if props.hand is not None:
        out = _with_hand(out, points, props.hand)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def _with_glasses(crop: np.ndarray, points: np.ndarray, glasses: Glasses) -> np.ndarray:
    left, right = points[:2]
    across = right - left
    turn = np.stack([across, (-across[1], across[0])], axis=1)  # columns: along the eyes, and down
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    outline = np.sign(circle) * np.abs(circle) ** (2 / glasses.roundness) * (glasses.width, glasses.height)
    lenses = [eye + outline @ turn.T for eye in (left, right)]
    bridge = np.array([(-0.5 + glasses.width, -0.05), (0.5 - glasses.width, -0.05)]) @ turn.T + (left + right) / 2
    arms = [eye + np.array([(side * glasses.width, -0.05), (side * (glasses.width + 0.5), 0)]) @ turn.T
            for eye, side in ((left, -1), (right, 1))]  # fmt: skip
    inside = _painted(crop.shape, lenses, filled=True)
    crop = crop * (1 - glasses.tint * inside)
    ramp = np.linspace(0, 1, len(crop), dtype=np.float32)
    crop = crop + 255 * glasses.glare * inside * ramp[None] * ramp[::-1, None]
    rim = _painted(crop.shape, [*lenses, bridge, *arms], thickness=glasses.rim)
    return crop + rim * (255 * glasses.shade - crop)


def _with_hand(crop: np.ndarray, points: np.ndarray, hand: Hand) -> np.ndarray:
    scale = float(np.hypot(*(points[1] - points[0])))
    mouth = points[3:].mean(0)
    x, y = np.clip(points[2].round().astype(int), 4, len(crop) - 5)
    skin = float(np.median(crop[y - 4 : y + 5, x - 4 : x + 5])) * hand.tone
    toward = np.array([np.cos(np.deg2rad(hand.angle)), np.sin(np.deg2rad(hand.angle))])
    beside = np.array([-toward[1], toward[0]])
    tip = mouth + np.array(hand.at) * scale
    for k in range(hand.fingers):
        place = k - (hand.fingers - 1) / 2
        end = tip + beside * place * 0.30 * scale - toward * abs(place) * 0.12 * scale
        line = np.stack([end, end - toward * 4 * scale])
        mask = cv2.GaussianBlur(_painted(crop.shape, [line], thickness=max(3, round(0.28 * scale))), (3, 3), 0)
        round_ = cv2.GaussianBlur(mask, (0, 0), max(1.0, 0.06 * scale))
        crop = crop + mask * (skin * (0.55 + 0.45 * round_) - crop)
    return crop


def _painted(
    shape: tuple[int, ...], lines: list[np.ndarray], *, filled: bool = False, thickness: int = 1
) -> np.ndarray:
    """Coverage ``(S, S)`` float32 in [0, 1] of lines, closed ones filled."""
    canvas = np.zeros(shape, np.uint8)
    for line in lines:
        fixed = np.round((line - 0.5) * (1 << _SUBPIXEL)).astype(np.int32)[:, None]
        if filled:
            cv2.fillPoly(canvas, [fixed], 255, cv2.LINE_AA, _SUBPIXEL)
        else:
            cv2.polylines(canvas, [fixed], len(line) > 2, 255, thickness, cv2.LINE_AA, _SUBPIXEL)
    return canvas.astype(np.float32) / 255
