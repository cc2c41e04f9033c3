"""Beards: short locks on the jaw, the chin and above the lips, that move with the skin they grow from."""

from dataclasses import dataclass, field

import numpy as np

from tools.baking.scalp import clip, shell_locks, spread
from tools.baking.shape import HeadShape, surface_points, unit
from tools.baking.strands import Color, Locks, Ribbon, join, ripples, sweep, to_linear, weld

_POINTS = 5
"""Along a lock."""


@dataclass(frozen=True)
class BeardStyle:
    """Lengths in model millimetres, colours sRGB."""

    color: Color
    highlight: Color
    chin: float = 26.0
    """Length at the chin."""
    cheeks: float = 15.0
    moustache: float = 15.0
    """Length above the lips; 0 leaves it out."""
    sides: float = 1.0
    """How far it reaches towards the ears: 1 is a full beard, 0 a goatee."""
    cheek_line: float = 0.0
    """Upper border on the cheeks, shifted upwards."""
    volume: float = 7.0
    """Height above the skin."""
    locks: int = 100
    ribbon: Ribbon = field(default_factory=lambda: Ribbon(14.0, 0.22, root=0.7, belly=0.35, points=3, roundness=0.6))
    lift: float = 0.75
    """How steeply locks leave the skin."""
    mess: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class _Face:
    """Where the lower face is, in model millimetres."""

    mouth: np.ndarray
    """Middle of the lips, ``(3,)``."""
    half: float
    """Half the width of the mouth."""
    base: float
    """Height of the base of the nose."""
    chin: float
    """Height of the underside of the chin."""


def _measure(head: HeadShape) -> _Face:
    corners, nose = head.to_model(head.mouth), head.to_model(head.nose)
    mouth = corners.mean(0)
    drop = nose[1] - mouth[1]
    middle = head.model[np.abs(head.model[:, 0]) < 8]
    lower = middle[(middle[:, 1] < mouth[1] - 0.6 * drop) & (middle[:, 1] > mouth[1] - 1.5 * drop)]
    chin = lower[lower[:, 2].argmax(), 1] - 0.4 * drop
    return _Face(mouth, 0.5 * float(np.ptp(corners[:, 0])), mouth[1] + 0.62 * drop, chin)


def beard_mask(head: HeadShape, style: BeardStyle, points: np.ndarray) -> np.ndarray:
    """How far points ``(N, 3)`` lie inside the beard, about in millimetres; negative outside."""
    face = _measure(head)
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    turn = np.degrees(np.arctan2(x, z + 72))
    span = face.mouth[1] - face.chin
    reach = 28 + 50 * style.sides
    above = np.interp(turn, [0, 16, 28, 45, 62, 78], np.array([-9, -6, 6, 10, 28, 62]) * span / 42)
    upper = face.mouth[1] + above + style.cheek_line * np.clip((turn - 20) / 15, 0, 1) - y
    lower = y - (face.chin + np.interp(turn, [0, 25, 50, 78], [-16, -14, 4, 34]) * span / 42)
    jaw = np.minimum(np.minimum(upper, lower), reach - turn)
    lips = np.hypot((x / (1.0 * face.half)), (y - face.mouth[1]) / (0.24 * span)) - 1
    jaw = np.minimum(jaw, 10 * lips)
    if style.moustache > 0:
        half = 1.18 * face.half
        top = face.base - 0.5 - 0.32 * np.clip(x - 9, 0, None)
        bottom = face.mouth[1] + 0.40 * (face.base - face.mouth[1]) - 0.45 * np.clip(x - 0.62 * face.half, 0, None)
        jaw = np.maximum(jaw, np.minimum(np.minimum(top - y, y - bottom), half - x) * (z > 0))
    return jaw


def grow_beard(head: HeadShape, style: BeardStyle) -> Locks:
    """Grow a beard; at most 3,000 vertices with 100 locks of the default ribbon."""
    rng = np.random.default_rng(style.seed)
    return join([_undercoat(head, style, rng), _locks(head, style, rng)])


def _undercoat(head: HeadShape, style: BeardStyle, rng: np.random.Generator) -> Locks:
    """The bearded skin itself, raised: every vertex moves with the one below it."""
    skin = head.model
    is_outside = (np.abs(head.solid.distance(skin)) < 5) & ((head.normals * head.solid.outward(skin)).sum(1) > 0.2)
    triangles = head.triangles[(is_outside & (skin[:, 1] < 20))[head.triangles].all(1)]
    points, triangles, used = clip(skin, triangles, lambda p: beard_mask(head, style, p))
    inside = np.maximum(beard_mask(head, style, points), 0)
    raised = 0.5 * np.clip(inside / 5, 0, 1) * style.volume * (1 + 0.25 * ripples(points, 9, rng))
    lifted = points + head.normals[used] * (0.35 + raised)[:, None]
    base, light = to_linear(style.color), to_linear(style.highlight)
    share = 0.45 + 0.25 * ripples(points, 12, rng) + 0.2 * rng.normal(size=len(points))
    colors = (base + (light - base) * np.clip(share, 0, 1)[:, None]) * 0.95
    uv = np.stack([np.abs(points[:, 0] / 25 % 2 - 1), np.clip((30 - points[:, 1]) / 150, 0, 1)], axis=1)
    down = np.tile([0.0, -1.0, 0.0], (len(points), 1))
    return shell_locks(head, lifted, triangles, down, colors, uv=uv, roots=used)


def _locks(head: HeadShape, style: BeardStyle, rng: np.random.Generator) -> Locks:
    points = surface_points(head.model, head.triangles)
    points = points[(np.abs(head.solid.distance(points)) < 3.5) & (points[:, 1] < 20)]
    points = points + 1e-4 * rng.normal(size=points.shape)
    inside = beard_mask(head, style, points)
    points, inside = points[inside > 0], inside[inside > 0]
    is_lip = (points[:, 1] > _measure(head).mouth[1]) & (np.abs(points[:, 0]) < 35)
    chosen = spread(style.locks, points, rng, 1 + 0.4 * np.exp(-inside / 4) + 0.7 * is_lip)
    roots, inside = points[chosen], inside[chosen]
    paths = _grow(head, style, roots, inside, rng)
    colors = _colors(style, roots, rng)
    widths = rng.uniform(0.8, 1.15, len(roots)) * (0.6 + 0.4 * np.clip(inside / 6, 0, 1))
    return weld(sweep(head, paths, head.solid.outward(paths), style.ribbon, colors, widths=widths))


def _grow(
    head: HeadShape, style: BeardStyle, roots: np.ndarray, inside: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    face, solid = _measure(head), head.solid
    side = np.sign(roots[:, 0])
    is_lip = (roots[:, 1] > face.mouth[1]) & (np.abs(roots[:, 0]) < 1.3 * face.half) & (roots[:, 2] > 0)
    turn = np.degrees(np.arctan2(np.abs(roots[:, 0]), roots[:, 2] + 72))
    frontal = np.clip(1 - turn / 45, 0, 1)
    length = style.cheeks + (style.chin - style.cheeks) * frontal**0.8
    room = 3 + 1.1 * np.clip(roots[:, 1] - face.mouth[1], 0, None) + 0.35 * np.abs(roots[:, 0])
    length = np.where(is_lip, np.minimum(style.moustache, room), length) * rng.uniform(0.8, 1.15, len(roots))
    length = length * (0.55 + 0.45 * np.clip(inside / 8, 0, 1))
    across = np.clip(np.abs(roots[:, 0]) / face.half, 0, 1)
    lip = np.stack([side * (0.35 + 0.75 * across), -0.75 + 0 * side, 0.25 + 0 * side], axis=1)
    cheek = np.stack([-0.15 * side, -1 + 0 * side, 0.35 * (1 - frontal)], axis=1)
    comb = unit(np.where(is_lip[:, None], lip, cheek) + style.mess * rng.normal(size=roots.shape))
    heading = unit(comb + style.lift * solid.outward(roots))
    step = length / (_POINTS - 1)
    high = style.volume * (0.35 + 0.65 * np.clip(inside / 10, 0, 1)) * np.where(is_lip, 0.75, 1)
    high = high * rng.uniform(0.75, 1.2, len(roots))
    path = [roots - 0.6 * solid.outward(roots)]
    point = roots
    for k in range(1, _POINTS):
        outward = solid.outward(point)
        aside = comb - (comb * outward).sum(1, keepdims=True) * outward
        wish = np.where(is_lip[:, None], aside, comb) + 0.08 * (high - solid.distance(point))[:, None] * outward
        heading = unit(0.5 * heading + 0.5 * unit(wish))
        point = solid.push_out(point + heading * step[:, None], np.minimum(0.5 * high, 1.2 + k * step * 0.5))
        path.append(point)
    return np.stack(path, axis=1)


def _colors(style: BeardStyle, roots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    base, light = to_linear(style.color), to_linear(style.highlight)
    along = np.linspace(0, 1, _POINTS)[None, :, None]
    share = np.clip(0.3 + 0.3 * ripples(roots, 35, rng) + 0.25 * rng.normal(size=len(roots)), 0, 1)[:, None, None]
    color = base + (light - base) * np.clip(share + 0.25 * along, 0, 1)
    return color * (0.55 + 0.45 * np.clip(along / 0.35, 0, 1)) * (1 + 0.08 * rng.normal(size=(len(roots), 1, 1)))
