"""Hair, brows, lashes and beard as parts that move with the skin they grow from."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from freeavatar.avatars.glb import vertex_normals
from tools.baking import atlas
from tools.baking.beard import grow_beard
from tools.baking.brows import BrowStyle, brow_middle, grow_brows, skin_under
from tools.baking.eyes import Sphere
from tools.baking.footing import Footing, at_vertices
from tools.baking.hair import grow_hair
from tools.baking.lashes import grow_lashes
from tools.baking.part import Finish, Part
from tools.baking.recipes import Recipe
from tools.baking.shape import HeadShape, unit
from tools.baking.strands import Locks

HAIR = Finish("hair", 0.85, is_double_sided=True)
"""Rough: what shines along the strands has its own lobes, and a smooth ribbon is grey where it turns away."""
MATTE = Finish("hair", 1.0, is_textured=False, is_double_sided=True)
"""Brows and lashes: dark from every side, without a sheen that would speckle so fine a thing."""

FIRM = 0.7
"""How much of a brow moves as its middle does: hair is neither drawn out nor pushed together with the skin."""


def brow_style(recipe: Recipe) -> BrowStyle:
    """The brows a recipe asks for."""
    paint = recipe.skin
    return BrowStyle(
        paint.brows, paint.brow_thickness, paint.brow_arch, length=paint.brow_length,
        hairs=round(30 + 50 * paint.brow_amount), density=min(1.0, 0.25 + 0.7 * paint.brow_amount), seed=paint.seed,
    )  # fmt: skip


def grow(head: HeadShape, recipe: Recipe, skin: Part, eyes: dict[str, Sphere]) -> list[Part]:
    """Grow what a recipe asks for.

    Args:
        head: the shape to grow on, its vertices those of ``skin``.
        recipe: styles.
        skin: with the displacements of every target.
        eyes: centre and radius of each eyeball, by side ('l', 'r').
    """
    parts = []
    if recipe.hair is not None:
        parts.append(_carried("hair", HAIR, grow_hair(head, recipe.hair), skin))
    if recipe.beard is not None:
        parts.append(_carried("beard", HAIR, grow_beard(head, recipe.beard), skin))
    return [*parts, _brows(head, recipe, skin), _lashes(head, recipe, skin, eyes)]


def _brows(head: HeadShape, recipe: Recipe, skin: Part) -> Part:
    """Brows that keep their height while the skin below them is drawn out or pushed together, and stay above it."""
    style = brow_style(recipe)
    hairs = grow_brows(head, style)
    xy = hairs.positions[:, :2]
    own = skin_under(head, xy)
    footing = own.mixed(skin_under(head, brow_middle(head, style, xy)), FIRM)

    def facing(positions: np.ndarray) -> np.ndarray:
        return unit(footing.of(vertex_normals(positions, skin.triangles, skin.merge)))

    brows = _turned("brows", hairs, skin, footing, facing)
    above = brows.positions[:, 2] - own.of(skin.positions)[:, 2]
    offsets = brows.offsets.copy()
    for k in np.flatnonzero(np.abs(offsets).max((1, 2)) > 1e-6):
        moved = skin.positions + skin.offsets[k]
        there = replace(head, positions=moved, normals=vertex_normals(moved, skin.triangles, skin.merge))
        below = skin_under(there, (brows.positions + offsets[k])[:, :2])
        offsets[k, :, 2] = below.of(moved)[:, 2] + above - brows.positions[:, 2]
    return replace(brows, offsets=offsets)


def _lashes(head: HeadShape, recipe: Recipe, skin: Part, eyes: dict[str, Sphere]) -> Part:
    """Lashes that turn with their lid as it slides over the eyeball."""
    strips, footing = grow_lashes(head, recipe.lashes)
    centres = np.where(strips.positions[:, :1] > 0, eyes["l"][0], eyes["r"][0])
    return _turned("lashes", strips, skin, footing, lambda positions: unit(footing.of(positions) - centres))


def _carried(name: str, finish: Finish, locks: Locks, skin: Part) -> Part:
    """Locks as a part: every vertex moves as the root of its lock does."""
    return _part(name, finish, locks, at_vertices(locks.roots).of(skin.offsets))


def _part(name: str, finish: Finish, locks: Locks, offsets: np.ndarray) -> Part:
    return Part(
        name, finish, locks.positions, atlas.place("hair", locks.uv), locks.triangles, offsets,
        np.arange(len(locks.positions)), locks.colors, locks.normals, is_grown=True,
    )  # fmt: skip


def _turned(name: str, locks: Locks, skin: Part, footing: Footing, facing: Callable[[np.ndarray], np.ndarray]) -> Part:
    """Matte locks as a part: every vertex moves and turns with the place it stands on.

    Args:
        name: of the part.
        locks: what grows.
        skin: what it grows on.
        footing: the place of each vertex.
        facing: unit direction of each place, ``(N, 3)``, from the positions of the skin's vertices.
    """
    rest, before = footing.of(skin.positions), facing(skin.positions)
    arms = locks.positions - rest
    moves = footing.of(skin.offsets)
    for k in np.flatnonzero(np.abs(moves).max((1, 2)) > 1e-6):
        turns = _shortest_turns(before, facing(skin.positions + skin.offsets[k]))
        moves[k] += np.einsum("nij,nj->ni", turns, arms) - arms
    return _part(name, MATTE, locks, moves)


def _shortest_turns(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Rotations ``(V, 3, 3)`` that take one unit direction to another (Rodrigues)."""
    v, c = np.cross(before, after), (before * after).sum(1)
    x, y, z = v.T
    zero = np.zeros_like(x)
    k = np.stack([np.stack([zero, -z, y], 1), np.stack([z, zero, -x], 1), np.stack([-y, x, zero], 1)], 1)
    return np.eye(3) + k + k @ k / (1 + c)[:, None, None]
