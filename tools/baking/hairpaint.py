"""Hair painted on the skin: scalp and beard up to a feathered border, and the shade of the brows."""

from dataclasses import replace

import numpy as np

from tools.baking.beard import BeardStyle, beard_mask
from tools.baking.brows import brow_shade
from tools.baking.growth import brow_style
from tools.baking.recipes import Recipe
from tools.baking.scalp import Hairline
from tools.baking.shape import HeadShape, smoothstep
from tools.baking.skin import Layer
from tools.baking.strands import ripples

_FEATHER = (-4.0, 3.5)
"""Where the painted scalp begins and is full, mm behind the hairline."""


def hair_paint(head: HeadShape, points: np.ndarray, recipe: Recipe) -> list[Layer]:
    """What a recipe paints on the skin.

    Args:
        head: the skin.
        points: what each texel of the atlas shows, ``(S, S, 3)`` metres.
        recipe: hair and brows.
    """
    color = recipe.skin.hair
    if recipe.hair is not None:
        color = tuple(0.85 * channel for channel in recipe.hair.color)
    brows = brow_style(recipe)
    layers = [(color, _scalp(head, points, recipe)), (brows.color, brow_shade(head, brows, points))]
    if recipe.beard is not None:
        layers.append((recipe.beard.color, _jaw(head, points, recipe.beard)))
    return layers


def _jaw(head: HeadShape, points: np.ndarray, style: BeardStyle) -> np.ndarray:
    """The roots of a beard below the cheekbones, ``(S, S)``."""
    p = head.to_model(points)
    inside = beard_mask(head, style, p.reshape(-1, 3)).reshape(p.shape[:2])
    ragged = 0.5 + 0.5 * ripples(p, 5, np.random.default_rng(style.seed), waves=24)
    return 0.85 * smoothstep(0.2, 4, inside - np.clip(ragged, 0, 1)) * smoothstep(20, 4, p[..., 1])


def _scalp(head: HeadShape, points: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Cropped hair, or the roots of long hair: strands fade out before the hairline, ``(S, S)``."""
    rng = np.random.default_rng(recipe.skin.seed)
    line = Hairline(front=5 - 14 * (recipe.skin.hairline - 0.5)) if recipe.hair is None else recipe.hair.hairline
    p = head.to_model(points)
    behind = (
        replace(line, crisp=1.0).inside(p) + 1.8 * ripples(p, 9, rng, waves=24) + 1.4 * ripples(p, 4, rng, waves=24)
    )
    return recipe.skin.hair_amount * smoothstep(*_FEATHER, behind)
