"""Who is in the cast, and how random people are drawn."""

from dataclasses import dataclass

import numpy as np

from tools.baking.skin import Skin
from tools.baking.source import HeadSource, Identity


@dataclass(frozen=True)
class Recipe:
    """One avatar: a head and what is painted on it."""

    identity: Identity
    skin: Skin


def _person(
    gender: float,
    age: float,
    weight: float,
    muscle: float,
    ancestry: tuple[float, float, float],
    lips_closed: float = 0.02,
    **changes,
):
    african, asian, caucasian = ancestry
    phenotypes = dict(
        gender=gender, age=age, weight=weight, muscle=muscle, african=african, asian=asian, caucasian=caucasian
    )
    return Identity(phenotypes, {k.replace("_", "-"): v for k, v in changes.items()}, {"mouthClose": lips_closed})


CAST: dict[str, Recipe] = {
    "ines": Recipe(
        _person(1.0, 0.52, 0.45, 0.5, (0.15, 0.1, 0.75), mouth_lowerlip_volume_incr=0.4),
        Skin(tone=(0.86, 0.66, 0.55), lips=(0.74, 0.38, 0.38), brows=(0.26, 0.16, 0.11), brow_thickness=0.30,
             brow_arch=0.75, hair=(0.20, 0.12, 0.08), hairline=0.35, blush=0.5, freckles=0.15, iris=(0.30, 0.38, 0.24),
             seed=1),
    ),
    "kofi": Recipe(
        _person(0.0, 0.55, 0.5, 0.7, (1.0, 0.0, 0.0), chin_width_incr=0.3),
        Skin(tone=(0.42, 0.27, 0.20), lips=(0.46, 0.26, 0.24), brows=(0.07, 0.05, 0.04), brow_thickness=0.65,
             brow_arch=0.3, hair=(0.05, 0.04, 0.035), hairline=0.45, stubble=0.5, blush=0.2, iris=(0.20, 0.12, 0.07),
             mottle=0.5, seed=2),
    ),
    "mei": Recipe(
        _person(1.0, 0.62, 0.55, 0.45, (0.0, 1.0, 0.0), lips_closed=0.06),
        Skin(tone=(0.85, 0.67, 0.54), lips=(0.72, 0.36, 0.36), brows=(0.12, 0.09, 0.08), brow_thickness=0.35,
             brow_arch=0.45, hair=(0.07, 0.055, 0.05), hairline=0.40, blush=0.35, iris=(0.19, 0.11, 0.07), seed=3),
    ),
}  # fmt: skip
"""The avatars that ship."""

_TONES = np.array([[0.92, 0.76, 0.67], [0.84, 0.64, 0.52], [0.72, 0.51, 0.38], [0.52, 0.34, 0.24], [0.30, 0.19, 0.14]])
_HAIRS = np.array([[0.05, 0.04, 0.04], [0.17, 0.11, 0.08], [0.38, 0.24, 0.13], [0.70, 0.56, 0.36], [0.62, 0.60, 0.58]])
_IRISES = np.array([[0.18, 0.11, 0.06], [0.36, 0.24, 0.12], [0.32, 0.40, 0.26], [0.36, 0.50, 0.62], [0.45, 0.46, 0.46]])
_HEAD_CHANGES = ("cheek", "chin", "ear", "eye", "forehead", "head", "mouth", "nose", "neck", "eyebrows")


def _color(rng: np.random.Generator, palette: np.ndarray) -> tuple[float, float, float]:
    at = rng.uniform(0, len(palette) - 1)
    low = int(at)
    color = palette[low] + (at - low) * (palette[low + 1] - palette[low]) + rng.normal(0, 0.02, 3)
    return tuple(np.clip(color, 0.02, 1.0))


def _random_identity(source: HeadSource, rng: np.random.Generator) -> Identity:
    ancestry = rng.dirichlet([0.5, 0.5, 0.5])
    phenotypes = dict(zip(("african", "asian", "caucasian"), ancestry.tolist(), strict=True))
    phenotypes |= {k: float(rng.beta(0.6, 0.6)) for k in ("gender",)}
    phenotypes |= {k: float(rng.uniform(0.2, 0.95)) for k in ("weight", "muscle")}
    phenotypes["age"] = float(rng.choice([rng.uniform(0.3, 0.5), rng.uniform(0.5, 0.95)]))
    changes: dict[str, float] = {}
    for name in source.change_names:
        bare = name.removeprefix("l-").removeprefix("r-")
        if not bare.startswith(_HEAD_CHANGES) or rng.uniform() > 0.4:
            continue
        twin = {"l-": "r-", "r-": "l-"}.get(name[:2], "") + bare
        value = float(rng.normal(0, 0.35))
        changes[name] = float(np.clip(0.85 * changes.get(twin, value) + 0.15 * value, -0.8, 0.8))
    return Identity(phenotypes, changes)


def random_recipe(source: HeadSource, rng: np.random.Generator) -> Recipe:
    """Draw a person: ancestry, age, sex, weight, the shape of every feature, and what is painted on."""
    tone, hair = np.array(_color(rng, _TONES)), _color(rng, _HAIRS)
    lips = np.clip(tone * rng.uniform([0.80, 0.50, 0.50], [1.0, 0.78, 0.80]), 0, 1)
    if rng.uniform() < 0.15:
        lips = np.array([rng.uniform(0.45, 0.8), rng.uniform(0.08, 0.3), rng.uniform(0.12, 0.35)])
    has_beard = rng.uniform() < 0.15
    return Recipe(
        _random_identity(source, rng),
        Skin(
            tone=tuple(tone), lips=tuple(lips), brows=tuple(np.clip(np.array(hair) * rng.uniform(0.5, 1.2), 0.02, 1)),
            brow_thickness=rng.uniform(0, 1), brow_amount=rng.uniform(0.35, 1), brow_arch=rng.uniform(0, 1),
            hair=hair, hair_amount=rng.choice([0.0, rng.uniform(0.6, 1)], p=[0.2, 0.8]), hairline=rng.uniform(0, 1),
            stubble=rng.choice([0.0, rng.uniform(0, 1)]), beard=rng.uniform(0.4, 1) if has_beard else 0.0,
            freckles=rng.choice([0.0, rng.uniform(0, 1)], p=[0.7, 0.3]), blush=rng.uniform(0, 1),
            shadow=rng.uniform(0, 0.9), wrinkles=rng.choice([0.0, rng.uniform(0, 1)]), mottle=rng.uniform(0, 1),
            iris=_color(rng, _IRISES), lashes=tuple(np.array([0.08, 0.06, 0.05]) * rng.uniform(0.3, 3)),
            seed=int(rng.integers(1 << 30)),
        ),
    )  # fmt: skip
