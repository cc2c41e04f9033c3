"""Painting the folds of a face: heights over its texture, and when each of them shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from freeavatar.avatars.wrinkles import FLAT, STEPS
from tools.baking.atlas import TILES, TexelMap
from tools.baking.rigs import Rig

Term = tuple[float, tuple[str, ...]]
"""A coefficient, and the targets whose product it multiplies."""
Line = tuple[tuple[float, float], ...]
"""Points across and above the middle between the eyes of the average face, in distances between the eyes."""

DEPTH = 0.0011
"""Metres of the deepest fold of a young face."""
AGE = 0.9
"""How much deeper those of the oldest are, as a share of that."""
SHARP, SOFT = 0.021, 0.062
"""Half widths of the line at the bottom of a fold and of the valley about it, distances between the eyes."""
RIDGE, RIDGE_AT, RIDGE_WIDTH = 0.32, 0.12, 0.055
"""Height, distance and half width of the swelling on both sides of a fold."""
FRONT = -0.3
"""What lies further back than this, in the same unit, is no part of a face's front."""
FAINT = 0.06
"""Heights below this are left out."""
GAP = 3
"""Texels between layers that share a channel."""
REACH = 0.24
"""How far a layer is drawn beyond its lines, in distances between the eyes."""


@dataclass(frozen=True)
class Fold:
    """Lines that come together, on the avatar's left or in the middle; lines of the left have mirror images."""

    lines: tuple[Line, ...]
    terms: tuple[Term, ...]
    """For a fold of the left, targets without a side are meant for the left's."""
    depth: float = 1.0
    is_sided: bool = True
    mound: tuple[float, float, float, float] | None = None
    """Place, radius and height of skin that is pushed together."""
    width: float = 1.0


def _arc(left: float, right: float, low: float, rise: float) -> Line:
    """A line from ``left`` to ``right`` that is ``rise`` higher in its middle."""
    x = np.linspace(left, right, 9)
    t = (x - left) / (right - left)
    return tuple((float(a), float(low + rise * 4 * s * (1 - s))) for a, s in zip(x, t, strict=True))


FOLDS: dict[str, Fold] = {
    "frown": Fold(
        (((0.085, -0.01), (0.10, 0.10), (0.10, 0.21), (0.125, 0.32)), ((0.17, 0.12), (0.185, 0.20), (0.215, 0.27))),
        ((0.85, ("browDown",)), (0.3, ("browDown", "noseSneer"))), width=1.25,
    ),
    "worry": Fold(
        (_arc(-0.40, 0.40, 0.47, 0.06), _arc(-0.46, 0.46, 0.62, 0.07), _arc(-0.36, 0.36, 0.77, 0.06)),
        ((0.9, ("browInnerUp",)),), 0.75, is_sided=False,
    ),
    "surprise": Fold(
        (_arc(0.10, 0.92, 0.43, 0.09), _arc(0.08, 0.90, 0.57, 0.09), _arc(0.10, 0.82, 0.71, 0.08)),
        ((0.9, ("browOuterUp",)),), 0.75,
    ),
    "bunny": Fold(
        (
            ((0.03, -0.02), (0.10, -0.07), (0.155, -0.17)), ((0.035, -0.14), (0.10, -0.20), (0.16, -0.31)),
            ((0.05, -0.26), (0.11, -0.32), (0.17, -0.44)),
        ),
        ((0.9, ("noseSneer",)),), 0.6, width=1.1,
    ),
    "nasolabial": Fold(
        (((0.27, -0.62), (0.335, -0.74), (0.43, -0.90), (0.515, -1.05), (0.555, -1.19), (0.545, -1.30)),),
        (
            (0.75, ("mouthSmile",)), (0.25, ("mouthSmile", "cheekSquint")), (0.65, ("noseSneer",)),
            (0.5, ("mouthUpperUp",)), (0.3, ("mouthStretch",)), (0.25, ("mouthDimple",)),
        ),
        1.25, width=1.35,
    ),
    "cheek": Fold(
        (), ((0.6, ("mouthSmile",)), (0.5, ("cheekSquint",))), mound=(0.60, -0.64, 0.30, 0.95),
    ),
    "crow": Fold(
        (
            ((0.86, 0.03), (0.95, 0.10), (1.03, 0.20)), ((0.88, -0.05), (0.98, -0.05), (1.08, -0.02)),
            ((0.86, -0.13), (0.95, -0.18), (1.04, -0.25)),
        ),
        ((0.45, ("cheekSquint",)), (0.35, ("eyeSquint",)), (0.4, ("mouthSmile", "cheekSquint"))), 0.75, width=0.8,
    ),
    "under_eye": Fold(
        (((0.24, -0.15), (0.36, -0.215), (0.52, -0.24), (0.68, -0.20), (0.78, -0.13)),
         ((0.30, -0.25), (0.42, -0.32), (0.58, -0.34), (0.72, -0.29))),
        ((0.55, ("eyeSquint",)), (0.5, ("cheekSquint",)), (0.25, ("noseSneer",))), 0.6,
    ),
    "chin": Fold(
        (_arc(-0.24, 0.24, -1.47, 0.05), ((-0.12, -1.60), (-0.07, -1.66), (-0.10, -1.71)),
         ((0.10, -1.58), (0.06, -1.65), (0.11, -1.70)), ((-0.02, -1.56), (0.0, -1.62), (-0.01, -1.67))),
        ((0.9, ("mouthShrugLower",)), (0.15, ("mouthFrownLeft",)), (0.15, ("mouthFrownRight",))),
        0.45, is_sided=False,
    ),
    "marionette": Fold(
        (((0.475, -1.20), (0.515, -1.30), (0.51, -1.42), (0.47, -1.52)),),
        ((0.75, ("mouthFrown",)), (0.4, ("mouthStretch",)), (0.5, ("mouthDimple",)), (0.4, ("mouthPress",))),
        0.45, width=1.25,
    ),
    "purse": Fold(
        tuple(((x, y), (0.82 * x, y + s * 0.09)) for x in (-0.26, -0.15, -0.05, 0.05, 0.15, 0.26)
              for y, s in ((-0.85, -1.0), (-1.42, 1.0))),
        ((0.7, ("mouthPucker",)), (0.25, ("mouthFunnel",)), (0.3, ("mouthRollUpper",)), (0.3, ("mouthRollLower",))),
        0.55, is_sided=False, width=0.7,
    ),
}  # fmt: skip
"""By what brings them."""


@dataclass(frozen=True)
class Layer:
    """A fold of one side, painted."""

    name: str
    terms: tuple[Term, ...]
    texels: tuple[slice, slice]
    heights: np.ndarray
    """Of those texels, in [-1, 1]."""


def paint_wrinkles(texels: TexelMap, unit: float) -> list[Layer]:
    """The folds of the average face.

    Args:
        texels: what each texel shows.
        unit: distance between the eyes, metres.
    """
    place = texels.position / unit
    face = texels.covered["skin"] & (place[..., 2] > FRONT)
    face[:, int(TILES["head"][2] * len(face)) :] = False
    layers = []
    for name, fold in FOLDS.items():
        for side in ("Left", "Right") if fold.is_sided else ("",):
            mirror = -1.0 if side == "Right" else 1.0
            terms = tuple((c, tuple(_of_side(entry, side) for entry in inputs)) for c, inputs in fold.terms)
            layers.append(_painted(f"{name}{side}", fold, terms, place * [mirror, 1, 1], face))
    return layers


def _of_side(target: str, side: str) -> str:
    return target if target.endswith(("Left", "Right")) or target in _WITHOUT_SIDE else f"{target}{side}"


_WITHOUT_SIDE = ("browInnerUp", "mouthShrugLower", "mouthPucker", "mouthFunnel", "mouthRollUpper", "mouthRollLower")


def _painted(name: str, fold: Fold, terms: tuple[Term, ...], place: np.ndarray, face: np.ndarray) -> Layer:
    points = np.array([point for line in fold.lines for point in line] + ([fold.mound[:2]] if fold.mound else []))
    reach = REACH if fold.mound is None else fold.mound[2]
    low, high = points.min(0) - reach, points.max(0) + reach
    near = face & ((place[..., :2] >= low) & (place[..., :2] <= high)).all(-1)
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    xy = place[box][..., :2]
    height = np.zeros(xy.shape[:2])
    for number, line in enumerate(fold.lines):
        height += _furrow(xy, np.array(line), fold.width, seed=number)
    if fold.mound is not None:
        x, y, radius, top = fold.mound
        height += top * np.clip(1 - ((xy - [x, y]) ** 2).sum(-1) / radius**2, 0, 1) ** 2
    edge = np.minimum(xy - low, high - xy).min(-1)
    fade = np.clip(edge / 0.06, 0, 1) * near[box]
    if fold.is_sided:
        fade = fade * np.clip((xy[..., 0] - 0.02) / 0.03, 0, 1)
    return _trimmed(Layer(name, terms, box, np.clip(fold.depth * height, -1.4, 1.4) / 1.4 * fade))


def _trimmed(layer: Layer) -> Layer:
    """The layer without borders that are flat."""
    folded = np.abs(layer.heights) > FAINT
    rows, columns = (np.flatnonzero(folded.any(axis)) for axis in (1, 0))
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    texels = tuple(
        slice(whole.start + cut.start, whole.start + cut.stop) for whole, cut in zip(layer.texels, part, strict=True)
    )
    return replace(layer, texels=texels, heights=layer.heights[part])


def _furrow(xy: np.ndarray, line: np.ndarray, width: float, seed: int) -> np.ndarray:
    """Height of a fold along a line ``(P, 2)`` at points ``(h, w, 2)``; about -1 at its bottom."""
    distance, along = _to_line(xy, line)
    rng = np.random.default_rng(seed)
    strength = np.sin(np.pi * np.clip(along, 0.02, 0.98)) ** 0.6 * (0.88 + 0.12 * np.sin(9 * along + rng.uniform(0, 6)))
    d = distance / width
    valley = -(0.5 * np.exp(-((d / SHARP) ** 2)) + 0.5 * np.exp(-((d / SOFT) ** 2)))
    return strength * (valley + RIDGE * np.exp(-(((d - RIDGE_AT) / RIDGE_WIDTH) ** 2)))


def _to_line(xy: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to a polyline, and place along it in [0, 1]; a smooth curve through its points."""
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, steps[-1], 48)
    curve = np.stack([np.interp(at, steps, line[:, k]) for k in range(2)], axis=1)
    kernel = np.ones(7) / 7
    padded = np.concatenate([np.repeat(curve[:1], 3, 0), curve, np.repeat(curve[-1:], 3, 0)])
    curve = np.stack([np.convolve(padded[:, k], kernel, "valid") for k in range(2)], axis=1)
    apart = np.linalg.norm(xy[..., None, :] - curve, axis=-1)
    return apart.min(-1), apart.argmin(-1) / (len(curve) - 1)


@dataclass(frozen=True)
class WrinkleMap:
    """What a file holds of its folds."""

    png: bytes
    extras: Mapping[str, Any]
    """``wrinkles`` of the mesh's extras but for the number of the texture."""


def wrinkle_map(layers: Sequence[Layer], size: int, rig: Rig, age: float) -> WrinkleMap:
    """Lay layers out in the channels of one picture.

    Args:
        layers: of the face.
        size: texels a side of the atlas.
        rig: of the avatar: folds follow its controls.
        age: in [0, 1]; older skin folds deeper.

    Raises:
        ValueError: more layers overlap than there are channels.
    """
    image = np.full((size, size, 3), FLAT, np.uint8)
    taken: list[list[tuple[slice, slice]]] = [[], [], []]
    described = []
    for layer in sorted(layers, key=lambda layer: -layer.heights.size):
        channel = next((c for c in range(3) if not any(_overlap(layer.texels, box) for box in taken[c])), None)
        if channel is None:
            raise ValueError(f"no channel has room for {layer.name}")
        taken[channel].append(layer.texels)
        image[(*layer.texels, channel)] = np.round(FLAT + STEPS * layer.heights).astype(np.uint8)
        rows, columns = layer.texels
        described.append({
            "name": layer.name, "channel": channel,
            "box": [round(v / size, 6) for v in (columns.start, rows.start, columns.stop, rows.stop)],
            "weight": [[round(c, 4), list(inputs)] for c, inputs in rig.terms(layer.terms)],
        })  # fmt: skip
    png = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    return WrinkleMap(png, {"depth": round(1.4 * DEPTH * (1 + AGE * age), 6), "layers": described})


def _overlap(one: tuple[slice, slice], other: tuple[slice, slice]) -> bool:
    return all(a.start < b.stop + GAP and b.start < a.stop + GAP for a, b in zip(one, other, strict=True))
