"""Hair as sculpted locks: grown from the scalp along a combed field, gathered in clumps, kept off the skin."""

import numpy as np

from tools.baking.afro import raise_afro
from tools.baking.hairstyle import HairStyle
from tools.baking.scalp import CENTRE, scalp_roots, scalp_shell, shell_locks, sphere, spread
from tools.baking.shape import HeadShape, Solid, smoothstep, unit
from tools.baking.strands import Locks, Ribbon, join, ripples, sweep, to_linear, weld

_STEPS = 32
"""Points a strand is grown with, before it is cut and thinned out."""
_INSET = 3.0
"""How far the undercoat stays behind the hairline, where painted roots fade into the skin, mm."""
_BORDER = 16.0
"""Locks that begin within this distance of the hairline taper at their roots, mm."""
_BABY = Ribbon(0.9, thickness=0.0, root=0.7, belly=0.3, points=2)
"""A hair of those that soften the hairline."""


def _on_part(style: HairStyle, points: np.ndarray) -> np.ndarray:
    a, b = np.asarray(style.part)
    share = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return a + share[..., None] * (b - a)


def _lengths(style: HairStyle, roots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Length of each strand, ``(N,)``."""
    front, top, sides, nape = style.lengths
    is_side = 1 - smoothstep(20, 75, roots[:, 1])
    is_front = smoothstep(-45, 5, roots[:, 2]) * (1 - is_side)
    is_nape = is_side * smoothstep(-90, -130, roots[:, 2])
    length = top + is_front * (front - top)
    length = length + is_side * (sides - length)
    length = length + is_nape * (nape - length)
    return length * (1 + style.mess * 0.8 * rng.uniform(-1, 0.6, len(roots)))


def _comb(style: HairStyle, points: np.ndarray, source: np.ndarray, outward: np.ndarray) -> np.ndarray:
    """Direction of combing along the skin, unit ``(N, 3)``."""
    away = unit(points - source) + np.asarray(style.bias)
    away = away + style.swirl * np.cross(outward, unit(points - source))
    return unit(away - (away * outward).sum(1, keepdims=True) * outward)


def _free_face(points: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Points ``(..., 3)``, those before the face and the throat moved to their ``side``, -1 or 1."""
    throat = 40 * smoothstep(-70, -110, points[..., 1])
    before = smoothstep(-55, -8, points[..., 2] + throat) * (1 - smoothstep(24, 76, points[..., 1]))
    wanted = np.maximum(side * points[..., 0], 64.0 * before)
    aside = np.where(before > 0, side * wanted, points[..., 0])
    return np.stack([aside, points[..., 1], points[..., 2]], axis=-1)


def _smooth(paths: np.ndarray) -> np.ndarray:
    """Strands without kinks; roots stay."""
    for _ in range(2):
        inner = 0.25 * paths[:, :-2] + 0.5 * paths[:, 1:-1] + 0.25 * paths[:, 2:]
        paths = np.concatenate([paths[:, :1], inner, paths[:, -1:]], axis=1)
    return paths


def _is_fringe(style: HairStyle, paths: np.ndarray) -> np.ndarray:
    """Which strands ``(N, K, 3)`` fall over the forehead, where a fringe is worn, ``(N,)`` bool."""
    if style.fringe is None:
        return np.zeros(len(paths), bool)
    first = (paths[..., 1] < style.fringe).argmax(1)
    x, y, z = paths[np.arange(len(paths)), first].T
    return (y < style.fringe) & (z > -22) & (np.abs(x) < 56) | (y >= style.fringe) & (paths[:, -1, 2] > 0)


def _grow(
    style: HairStyle, solid: Solid, roots: np.ndarray, may_cover: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Strands ``(N, K, 3)`` and the height of each above the skin, ``(N,)`` mm.

    Strands that may not cover the face are led around it.
    """
    source = _on_part(style, roots)
    outward = solid.outward(roots)
    reach = np.linalg.norm(roots - source, axis=1)
    layer = 1 - 0.75 * np.clip(reach / 150, 0, 1)
    height = 2.5 + style.volume * layer * (0.55 + 0.45 * smoothstep(0, 35, reach))
    height = height + rng.uniform(0, 2.2 + 10 * style.mess, len(roots))
    step = _lengths(style, roots, rng) / (_STEPS - 1)
    front, rest = style.lift
    lift = rest + (front - rest) * smoothstep(-40, 10, roots[:, 2]) * smoothstep(20, 60, roots[:, 1])
    stray = style.mess * rng.normal(0, 1, roots.shape)
    heading = unit(_comb(style, roots, source, outward) * (1 - lift)[:, None] + outward * lift[:, None] + 0.5 * stray)
    points, path = roots.copy(), [roots]
    pull = unit(np.asarray(style.pull))
    for k in range(1, _STEPS):
        outward, distance = solid.outward(points), solid.distance(points)
        heavy = np.clip(style.weight * k * step / 90, 0, 1)[:, None]
        rise = np.minimum(1.0, 4 * k / _STEPS)
        wish = _comb(style, points, source, outward) * (1 - heavy) + pull * heavy + 0.4 * stray
        wish = wish + style.hug * np.clip((height * rise - distance) / 10, -1.2, 1.2)[:, None] * outward
        heading = unit(0.72 * heading + 0.28 * wish)
        points = points + heading * step[:, None]
        points = np.where(may_cover[:, None], points, _free_face(points, np.where(points[:, 0] < 0, -1, 1)))
        path.append(solid.push_out(points, np.minimum(height, 1.5 + k * step) * 0.55))
        points = path[-1]
    return np.stack(path, axis=1), height


def _trim(style: HairStyle, paths: np.ndarray, is_fringe: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut strands at the cut or the fringe, and put ``segments + 1`` points on what is left."""
    line = np.full(len(paths), -1e3 if style.cut is None else style.cut) + style.uneven * rng.uniform(-1, 1, len(paths))
    fringe = -1e3 if style.fringe is None else style.fringe
    line = np.where(is_fringe, fringe + 0.35 * style.uneven * rng.uniform(-1, 1, len(paths)), line)
    above = np.logical_and.accumulate(paths[..., 1] > line[:, None], axis=1)
    last = np.maximum(above.sum(1) - 1, 3)
    at = np.linspace(0, 1, style.segments + 1)[None] * last[:, None]
    low = np.minimum(at.astype(int), _STEPS - 2)
    t = (at - low)[..., None]
    rows = np.arange(len(paths))[:, None]
    return paths[rows, low] * (1 - t) + paths[rows, low + 1] * t


def _clump(style: HairStyle, roots: np.ndarray, is_fringe: np.ndarray) -> np.ndarray:
    """The clump of each root, ``(N,)``: the nearest of the first ones, but not across a part or the fringe."""
    group = np.sign(roots[:, 0] - _on_part(style, roots)[:, 0]) + 3 * is_fringe
    gap = np.linalg.norm(roots[:, None] - roots[: style.clumps], axis=2)
    return (gap + 60 * (group[:, None] != group[: style.clumps])).argmin(1)


def _gather(style: HairStyle, paths: np.ndarray, guides: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Draw strands towards the guide of their clump, more towards the tips."""
    along = np.linspace(0, 1, paths.shape[1])[None, :, None]
    return paths + style.clumping * along**1.3 * (guides[which] - paths)


def _wave(style: HairStyle, solid: Solid, paths: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Swing strands from side to side, more towards the tips."""
    outward = solid.outward(paths)
    sides = unit(np.cross(outward, np.gradient(paths, axis=1)))
    lengths = np.linalg.norm(np.diff(paths, axis=1), axis=2).cumsum(1)
    travelled = np.concatenate([np.zeros((len(paths), 1)), lengths], axis=1)
    turn = travelled / style.wavelength * 2 * np.pi + phase[:, None]
    size = style.wave * smoothstep(10, 120, travelled)[..., None]
    return paths + size * (np.sin(turn)[..., None] * sides + 0.6 * np.cos(turn)[..., None] * outward)


def _tuck(style: HairStyle, solid: Solid, paths: np.ndarray) -> np.ndarray:
    along = np.linspace(0, 1, paths.shape[1])[None, :, None]
    return paths - style.tuck * smoothstep(0.7, 1.0, along) * solid.outward(paths)


def _colors(style: HairStyle, roots: np.ndarray, heights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Linear colours of locks, ``(N, segments + 1, 3)``: dark at roots and beneath, strands of highlight."""
    base, light = to_linear(style.color), to_linear(style.highlight)
    along = np.linspace(0, 1, style.segments + 1)[None, :, None]
    share = np.clip(0.25 + 0.35 * ripples(roots, 60, rng) + 0.25 * rng.normal(size=len(roots)), 0, 1)
    share = share[:, None, None] * (0.35 + 0.65 * smoothstep(0.1, 0.6, along)) + style.tips * smoothstep(0.4, 1, along)
    color = base + (light - base) * np.clip(share, 0, 1)
    deep = 0.62 + 0.38 * smoothstep(2, 0.8 * style.volume + 3, heights)[:, None, None]
    root = 0.5 + 0.5 * smoothstep(0, 0.22, along)
    return color * deep * root * (1 + 0.10 * rng.normal(size=(len(roots), 1, 1)))


def _streaks(style: HairStyle, points: np.ndarray) -> np.ndarray:
    """Texture coordinates ``(V, 2)`` of a shell: streaks run away from the part."""
    start = np.asarray(style.part[0])
    source = _on_part(style, points)
    x, z = (points - source)[:, [0, 2]].T
    across = np.linalg.norm(source - start, axis=1) / 60 + np.abs(np.arctan2(x, -z)) / np.pi * 5
    along = np.clip(np.linalg.norm(points - source, axis=1) / 250, 0, 1)
    return np.stack([np.abs(across % 2 - 1), along], axis=1)


def _undercoat(head: HeadShape, style: HairStyle, frequency: int = 10) -> Locks:
    """A thin dark shell, so that no skin shows between locks."""
    points, triangles, inside = scalp_shell(head, style.hairline, frequency, _INSET)
    outward = head.solid.outward(points)
    flow = _comb(style, points, _on_part(style, points), outward)
    raised = points + outward * (0.5 + 2.2 * smoothstep(0, 14, inside))[:, None]
    color = np.tile(to_linear(style.color) * 0.6, (len(points), 1))
    return shell_locks(head, raised, triangles, flow, color, uv=_streaks(style, points))


def _tapers(style: HairStyle, roots: np.ndarray) -> np.ndarray:
    """Width along locks ``(N, segments + 1)``, in parts of the ribbon's: those on the border begin in a point."""
    along = np.linspace(0, 1, style.segments + 1)
    near = smoothstep(_BORDER, 3, style.hairline.inside(roots))[:, None]
    return 1 - 0.88 * near * smoothstep(0.3, 0, along)


def _baby_hairs(head: HeadShape, style: HairStyle) -> Locks:
    """Short fine hairs about the hairline, combed as the locks are."""
    rng = np.random.default_rng(style.seed + 1)
    solid = head.solid
    points = solid.project(unit(sphere(40)[0] + rng.normal(0, 0.01, (16002, 3))), CENTRE)
    inside = style.hairline.inside(points)
    points = points[(inside > -0.5) & (inside < 6) & (points[:, 2] > -75)]
    roots = points[spread(style.baby_hairs, points, rng)]
    outward = solid.outward(roots)
    heading = unit(_comb(style, roots, _on_part(style, roots), outward) + 0.15 * rng.normal(size=roots.shape))
    length = rng.uniform(9, 18, len(roots))[:, None]
    paths = [solid.push_out(roots + heading * length * a, h) for a, h in ((0, -0.3), (0.5, 0.7), (1, 1.6))]
    paths = np.stack(paths, axis=1)
    colors = np.broadcast_to(to_linear(style.color), paths.shape)
    return weld(sweep(head, paths, solid.outward(paths), _BABY, colors))


def _locks(head: HeadShape, style: HairStyle, rng: np.random.Generator) -> Locks:
    solid = head.solid
    from_part = lambda p: np.linalg.norm(p - _on_part(style, p), axis=1)  # noqa: E731
    roots = scalp_roots(head, style.hairline, style.locks, rng, from_part)
    state = rng.bit_generator.state
    is_fringe = _is_fringe(style, _grow(style, solid, roots, np.ones(len(roots), bool), rng)[0])
    rng.bit_generator.state = state
    paths, heights = _grow(style, solid, roots, is_fringe, rng)
    paths = _trim(style, paths, is_fringe, rng)
    which = _clump(style, roots, is_fringe)
    paths = _gather(style, paths, paths[: style.clumps], which)
    phase = 2.2 * ripples(roots[: style.clumps], 110, rng)[which] + rng.normal(0, 0.3, len(roots))
    paths = _tuck(style, solid, _wave(style, solid, paths, phase))
    off = 0.55 * heights[:, None] * smoothstep(0, 0.25, np.linspace(0, 1, style.segments + 1))
    sunk = roots - solid.outward(roots) * style.sink
    side = np.where(paths[:, -1:, 0] < 0, -1, 1)
    paths = np.where(is_fringe[:, None, None], paths, _free_face(paths, side))
    paths = _smooth(np.concatenate([sunk[:, None], solid.push_out(paths, off)[:, 1:]], axis=1))
    widths = (1 + 0.25 * rng.uniform(-1, 1, len(roots)))[:, None] * _tapers(style, roots)
    colors = _colors(style, roots, heights, rng)
    return sweep(head, paths, solid.outward(paths), style.ribbon, colors, widths=widths)


def grow_hair(head: HeadShape, style: HairStyle) -> Locks:
    """Grow hair on a head.

    Args:
        head: the skin.
        style: cut, combing and colours.

    Returns:
        A mesh of at most 9,000 vertices and 15,000 triangles with the styles in :mod:`tools.baking.styles`.
    """
    rng = np.random.default_rng(style.seed)
    if style.kind == "afro":
        return raise_afro(head, style, rng)
    return join([_undercoat(head, style), _baby_hairs(head, style), weld(_locks(head, style, rng))])
