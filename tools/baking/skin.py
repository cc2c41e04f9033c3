"""Painting a face: skin, lips, cropped hair, iris and strands of hair, as one texture."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tools.baking.atlas import MARGIN, TILES, TexelMap, bleed
from tools.baking.strands import strand_texture

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Skin:
    """Colours are sRGB in [0, 1]; amounts are in [0, 1]."""

    tone: Color = (0.80, 0.60, 0.50)
    lips: Color = (0.70, 0.40, 0.38)
    brows: Color = (0.22, 0.15, 0.11)
    brow_thickness: float = 0.5
    brow_amount: float = 0.9
    brow_arch: float = 0.5
    brow_length: float = 42.0
    """Millimetres on a face of average size."""
    hair: Color = (0.16, 0.11, 0.08)
    hair_amount: float = 0.9
    hairline: float = 0.5
    stubble: float = 0.0
    beard: float = 0.0
    freckles: float = 0.0
    blush: float = 0.4
    shadow: float = 0.3
    """Darkening of the lids and below the eyes."""
    wrinkles: float = 0.0
    mottle: float = 0.4
    iris: Color = (0.36, 0.24, 0.14)
    sclera: Color = (0.88, 0.86, 0.83)
    iris_size: float = 1.0
    """Radius of the iris against a person's."""
    pupil: str = "round"
    """round or slit."""
    spots: float = 0.0
    """Large patches of :attr:`spot_color`, for creatures."""
    spot_color: Color = (0.2, 0.3, 0.2)
    seed: int = 0


def _smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _noise(points: np.ndarray, frequency: float, rng: np.random.Generator) -> np.ndarray:
    """Value noise in [-1, 1] at ``points`` ``(..., D)`` metres, ``frequency`` cells a metre."""
    lattice = rng.uniform(-1, 1, (64,) * points.shape[-1]).astype(np.float32)
    p = points * frequency + 1000
    cell = np.floor(p).astype(np.int64)
    t = p - cell
    t = t * t * (3 - 2 * t)
    total = np.zeros(points.shape[:-1], np.float32)
    for corner in np.ndindex(*(2,) * points.shape[-1]):
        index = tuple((cell[..., k] + corner[k]) % 64 for k in range(points.shape[-1]))
        weight = np.prod([t[..., k] if c else 1 - t[..., k] for k, c in enumerate(corner)], axis=0)
        total += weight * lattice[index]
    return total


def _mix(image: np.ndarray, color: Color | np.ndarray, amount: np.ndarray) -> np.ndarray:
    return image + (np.asarray(color, np.float32) - image) * amount[..., None]


Layer = tuple[Color, np.ndarray]
"""A colour, and how much of it each texel takes on, ``(S, S)`` in [0, 1]."""


def paint(texels: TexelMap, masks: dict[str, np.ndarray], skin: Skin, grown: Sequence[Layer] = ()) -> np.ndarray:
    """Paint the atlas.

    Args:
        texels: from :func:`tools.baking.atlas.texel_map`, ``(S, S)``.
        masks: lips, eyelids, ears and inside-mouth in MakeHuman's layout.
        skin: what to paint.
        grown: hair on the skin, painted last.

    Returns:
        sRGB, ``(S, S, 3)`` uint8.
    """
    rng = np.random.default_rng(skin.seed)
    covered = texels.covered["skin"]
    image = np.full((*covered.shape, 3), 0.5, np.float32)
    image[covered] = _paint_skin(texels, masks, skin, grown, rng)[covered]
    image[texels.covered["tongue"]] = (0.70, 0.34, 0.35)
    everything = np.logical_or.reduce(list(texels.covered.values()))
    image = bleed(image, everything, max(4, len(covered) // 128))
    _paint_eye(image, skin, rng)
    x0, y0, x1, y1 = (round(v * len(image)) for v in TILES["hair"])
    image[y0:y1, x0:x1] = strand_texture((y1 - y0, x1 - x0), skin.seed)[..., None]
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _paint_skin(
    texels: TexelMap, masks: dict, skin: Skin, grown: Sequence[Layer], rng: np.random.Generator
) -> np.ndarray:
    p = texels.position
    x, y, z = np.moveaxis(p * 1000, -1, 0)
    image = np.ones((*p.shape[:2], 3), np.float32) * np.asarray(skin.tone, np.float32)
    face = (z > -20).astype(np.float32)
    coarse, fine = _noise(p, 60, rng), _noise(p, 500, rng) + 0.6 * _noise(p, 1100, rng)
    pores = np.clip(_noise(p, 1500, rng) - 0.25, 0, 1) * np.exp(-((x / 48) ** 2)) * face
    image *= (1 + skin.mottle * (0.07 * coarse + 0.05 * fine - 0.20 * pores))[..., None]
    # Blood lies nearer the surface in some places than in others.
    image *= 1 + skin.mottle * 0.09 * _noise(p, 110, rng)[..., None] * np.array([0.3, -0.8, -0.6], np.float32)
    cheeks = np.exp(-(((np.abs(x) - 42) / 18) ** 2) - ((y + 32) / 16) ** 2) * face
    nose = np.exp(-((x / 14) ** 2) - ((y + 38) / 12) ** 2) * face
    ears = texels.sample(masks["ears"])
    flush = np.asarray(skin.tone) * np.array([1.06, 0.74, 0.72])
    image = _mix(image, flush, np.clip(0.7 * skin.blush * (cheeks + 0.8 * nose) + 0.45 * ears, 0, 1))
    lids = texels.sample(masks["eyelids"])
    below = np.exp(-(((np.abs(x) - 30) / 14) ** 2) - ((y + 12) / 5) ** 2) * face
    dark = np.asarray(skin.tone) * np.array([0.80, 0.66, 0.63])
    image = _mix(image, dark, np.clip(skin.shadow * (0.25 * lids + 0.5 * below), 0, 1))
    spots = _smoothstep(0.42, 0.72, _noise(p, 640, rng)) * (cheeks + nose) * (0.6 + 0.4 * coarse)
    image = _mix(image, np.asarray(skin.tone) * (0.74, 0.60, 0.52), np.clip(skin.freckles * spots, 0, 1))
    image *= (1 - skin.wrinkles * _wrinkles(x, y, z))[..., None]
    jaw = _smoothstep(-38, -56, y) * _smoothstep(-125, -105, y) * (z > -65)
    jaw = jaw + np.exp(-((x / 24) ** 2) - ((y + 58) / 7) ** 2) * (z > 0)
    lips = _smoothstep(0.25, 0.75, texels.sample(masks["lips"]))
    patches = _smoothstep(0.02, 0.55, _noise(p, 38, rng) + 0.35 * _noise(p, 130, rng))
    patches = patches * _smoothstep(-10, 45, np.abs(x) + 0.6 * y)
    image = _mix(image, skin.spot_color, skin.spots * patches)
    grain = np.clip(0.75 + 0.5 * fine, 0, 1)
    image = _mix(
        image, np.asarray(skin.hair), np.clip(jaw, 0, 1) * (1 - lips) * (0.4 * skin.stubble + 0.9 * skin.beard * grain)
    )
    image = _mix(image, skin.lips, lips * 0.85)
    for color, amount in grown:
        image = _mix(image, color, amount.astype(np.float32))
    inside = _smoothstep(0.2, 0.6, texels.sample(masks["inside-mouth"]))
    return _mix(image, (0.58, 0.25, 0.24), inside)


def _wrinkles(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Lines of the forehead, crow's feet and the fold from nose to mouth, in [0, 1]."""
    forehead = np.clip(np.sin(y * 0.85 + 0.002 * x**2), 0.6, 1) - 0.6
    forehead = 2.5 * forehead * np.exp(-(((y - 46) / 12) ** 2)) * np.exp(-((x / 40) ** 2)) * (z > -30)
    fold = (
        np.exp(-(((np.abs(x) - 17 - (-36 - y) * 0.42) / 1.4) ** 2))
        * _smoothstep(-72, -60, y)
        * _smoothstep(-30, -38, y)
    )
    feet = np.clip(np.sin((y + 2) * 1.6 + 0.1 * np.abs(x)), 0.5, 1) - 0.5
    feet = 2 * feet * np.exp(-(((np.abs(x) - 56) / 5) ** 2) - (y / 9) ** 2)
    return np.clip(0.35 * forehead + 0.4 * fold * (z > 0) + 0.3 * feet, 0, 1)


def _paint_eye(image: np.ndarray, skin: Skin, rng: np.random.Generator) -> None:
    """Sclera with vessels, limbus, iris and pupil on the polar tile of the eyeball; radius 1 is 100 degrees."""
    size = len(image)
    tile = TILES["eye"]
    x0, y0, x1, y1 = (round(v * size) for v in tile)
    yy, xx = np.mgrid[y0:y1, x0:x1]
    dx, dy = (2 * xx + 1 - x0 - x1) / (x1 - x0), (2 * yy + 1 - y0 - y1) / (y1 - y0)
    degrees = np.hypot(dx, dy) / (1 - 2 * MARGIN / (tile[2] - tile[0])) * 100
    turn = np.arctan2(dy, dx)
    around = np.stack([np.cos(turn), np.sin(turn)], -1)
    sclera = np.ones((*degrees.shape, 3), np.float32) * np.asarray(skin.sclera, np.float32)
    vessels = np.abs(_noise(np.concatenate([around * 7, degrees[..., None] * 0.05], -1), 1.0, rng))
    redness = _smoothstep(34, 75, degrees)
    sclera = _mix(sclera, np.asarray(skin.sclera) * (0.92, 0.62, 0.58), 0.75 * redness)
    sclera = _mix(sclera, (0.72, 0.30, 0.27), 0.35 * redness * (1 - _smoothstep(0.03, 0.12, vessels)))
    edge = 29.0 * skin.iris_size
    at = degrees / edge
    fibres = _noise(np.concatenate([around * 16, degrees[..., None] * 0.09], -1), 1.0, rng)
    crypts = _noise(np.concatenate([around * 5, degrees[..., None] * 0.16], -1), 1.0, rng)
    iris = 0.82 * np.asarray(skin.iris) * (1 + 0.40 * fibres + 0.25 * crypts)[..., None]
    collarette = np.exp(-(((at - 0.52) / 0.10) ** 2))
    iris = iris * (1.12 - 0.45 * _smoothstep(0.6, 1.0, at) + 0.45 * collarette)[..., None]
    # A cornea gathers light on the side away from its source: the lower half glows.
    iris = iris * (1 + 0.55 * np.clip(dy * 100 / edge, -0.6, 1) * (1 - _smoothstep(0.9, 1.0, at)))[..., None]
    eye = _mix(sclera, np.clip(iris, 0, 1), 1 - _smoothstep(0.955, 1.03, at))
    eye = _mix(eye, np.asarray(skin.iris) * 0.22, 0.85 * np.exp(-(((at - 0.965) / 0.06) ** 2)))
    pupil = at / 0.37 if skin.pupil == "round" else np.hypot(dx * 100 / edge / 0.13, dy * 100 / edge / 0.72)
    eye = _mix(eye, (0.012, 0.012, 0.014), 1 - _smoothstep(0.90, 1.08, pupil))
    image[y0:y1, x0:x1] = eye


def to_jpeg(image: np.ndarray) -> bytes:
    """Encode RGB ``(S, S, 3)`` uint8."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert done
    return data.tobytes()
