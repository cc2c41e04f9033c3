"""Who is in the cast, and how random people are drawn."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tools.baking.beard import BeardStyle
from tools.baking.clothes import Shirt
from tools.baking.hair import HairStyle
from tools.baking.horns import Horns
from tools.baking.identity import Identity
from tools.baking.lashes import LashStyle
from tools.baking.rigs import ARTIST_RIG, VRM_RIG, Rig
from tools.baking.skin import Color, Skin
from tools.baking.styles import BEARDS, STYLES
from tools.baking.teeth import Smile
from tools.baking.warp import Style

if TYPE_CHECKING:
    from tools.baking.source import HeadSource


@dataclass(frozen=True)
class Recipe:
    """One avatar: a head, what is painted on it, what it wears and how it is rigged."""

    identity: Identity
    skin: Skin
    style: Style = field(default_factory=Style)
    shirt: Shirt = field(default_factory=Shirt)
    smile: Smile = field(default_factory=Smile)
    horns: Horns | None = None
    hair: HairStyle | None = None
    lashes: LashStyle = field(default_factory=LashStyle)
    beard: BeardStyle | None = None
    rig: Rig | None = None
    """None: ARKit's blendshapes."""


SMILE_AT_REST = 0.1
"""Of mouthSmile in every neutral face of the cast: level corners read as sulking."""


def _person(
    gender: float, age: float, weight: float, muscle: float, ancestry: tuple[float, float, float],
    lips_closed: float = 0.02, lids_raised: float = 0.0, **changes: float,
) -> Identity:  # fmt: skip
    """A person; ancestry is African, Asian, European; changes on both sides where a name has sides.

    ``lips_closed``, ``lids_raised``: how much of mouthClose and eyeWide the neutral face has.
    """
    african, asian, caucasian = ancestry
    phenotypes = dict(
        gender=gender, age=age, weight=weight, muscle=muscle, african=african, asian=asian, caucasian=caucasian
    )
    named: dict[str, float] = {}
    for key, value in changes.items():
        name = key.replace("_", "-")
        both = name.startswith(("eye-", "ear-", "cheek-"))
        named |= {f"l-{name}": value, f"r-{name}": value} if both else {name: value}
    rest = {"mouthClose": lips_closed} | {
        f"{name}{side}": amount for name, amount in (("mouthSmile", SMILE_AT_REST), ("eyeWide", lids_raised))
        for side in ("Left", "Right")
    }  # fmt: skip
    return Identity(phenotypes, named, rest)


CAST: dict[str, Recipe] = {
    "ines": Recipe(
        _person(1.0, 0.62, 0.52, 0.5, (0.15, 0.1, 0.75), mouth_lowerlip_volume_incr=0.15, eye_scale_incr=0.25,
                nose_scale_horiz_incr=-0.2, cheek_volume_incr=0.3, mouth_angles_up=0.15),
        Skin(tone=(0.87, 0.68, 0.58), lips=(0.75, 0.46, 0.43), brows=(0.24, 0.155, 0.11), brow_thickness=0.50,
             brow_arch=0.5, hair=(0.24, 0.14, 0.09), hairline=0.35, blush=0.55, freckles=0.35, iris=(0.30, 0.38, 0.24),
             seed=1),
        hair=STYLES["ines"],
        shirt=Shirt((0.16, 0.36, 0.38), neckline=-0.6),
    ),
    "kofi": Recipe(
        _person(0.0, 0.70, 0.42, 0.75, (1.0, 0.0, 0.0), lids_raised=0.45, chin_width_incr=0.3,
                chin_jaw_drop_incr=0.15, mouth_lowerlip_volume_incr=-0.4, mouth_upperlip_volume_incr=-0.4),
        Skin(tone=(0.42, 0.27, 0.20), lips=(0.55, 0.32, 0.30), brows=(0.07, 0.05, 0.04), brow_thickness=0.65,
             brow_arch=0.3, hair=(0.05, 0.04, 0.035), hairline=0.45, beard=0.8, blush=0.2, iris=(0.27, 0.16, 0.085),
             mottle=0.5, seed=2),
        hair=STYLES["kofi"],
        lashes=LashStyle(length=4.6, line=0.5),
        shirt=Shirt((0.82, 0.62, 0.22)),
    ),
    "mei": Recipe(
        _person(1.0, 0.66, 0.42, 0.45, (0.0, 1.0, 0.0), lips_closed=0.06, mouth_angles_up=0.25),
        Skin(tone=(0.88, 0.71, 0.60), lips=(0.75, 0.46, 0.43), brows=(0.11, 0.09, 0.085), brow_thickness=0.45,
             brow_arch=0.45, hair=(0.06, 0.05, 0.05), hairline=0.40, blush=0.4, iris=(0.26, 0.15, 0.085), seed=3),
        hair=STYLES["mei"],
        shirt=Shirt((0.62, 0.20, 0.24), neckline=0.7),
    ),
    "tomas": Recipe(
        _person(0.0, 0.96, 0.86, 0.5, (0.0, 0.0, 1.0), head_fat_incr=0.4, neck_double_incr=0.5, nose_volume_incr=0.4,
                nose_hump_incr=0.3, eye_bag_incr=0.5),
        Skin(tone=(0.86, 0.65, 0.57), lips=(0.68, 0.42, 0.40), brows=(0.36, 0.335, 0.31), brow_thickness=0.85,
             brow_arch=0.2, hair=(0.62, 0.60, 0.57), hairline=0.9, hair_amount=0.35, stubble=0.2, blush=0.8,
             shadow=0.45, wrinkles=0.9, mottle=0.8, iris=(0.36, 0.48, 0.58), seed=4),
        hair=STYLES["tomas"],
        beard=BEARDS["tomas"],
        lashes=LashStyle((0.16, 0.14, 0.13), upper=24, lower=10, length=4.2, line=0.6),
        shirt=Shirt((0.23, 0.28, 0.40), neckline=-1.2),
    ),
    "amara": Recipe(
        _person(1.0, 0.90, 0.62, 0.45, (1.0, 0.0, 0.0), cheek_bones_incr=0.4, mouth_laugh_lines_out=-0.1,
                mouth_angles_up=0.45),
        Skin(tone=(0.50, 0.33, 0.25), lips=(0.52, 0.27, 0.26), brows=(0.12, 0.10, 0.095), brow_thickness=0.5,
             brow_arch=0.35, hair=(0.60, 0.58, 0.56), hairline=0.45, blush=0.25, shadow=0.4, wrinkles=0.6, mottle=0.6,
             iris=(0.33, 0.20, 0.11), seed=5),
        hair=STYLES["amara"],
        lashes=LashStyle(length=5.4),
        shirt=Shirt((0.55, 0.26, 0.44)),
    ),
    "nuri": Recipe(
        _person(0.4, 0.44, 0.5, 0.4, (0.25, 0.35, 0.4), lips_closed=0.04, eye_scale_incr=0.5, cheek_volume_incr=0.4,
                mouth_angles_up=0.2),
        Skin(tone=(0.80, 0.60, 0.47), lips=(0.74, 0.42, 0.40), brows=(0.20, 0.13, 0.09), brow_thickness=0.45,
             brow_arch=0.4, brow_amount=0.85, hair=(0.22, 0.14, 0.09), hairline=0.3, blush=0.7, freckles=0.5,
             shadow=0.1, iris=(0.40, 0.25, 0.12), seed=6),
        hair=STYLES["nuri"],
        lashes=LashStyle((0.07, 0.05, 0.04), length=5.8),
        shirt=Shirt((0.95, 0.55, 0.30)),
    ),
    "ravi": Recipe(
        _person(0.0, 0.64, 0.16, 0.5, (0.2, 0.35, 0.45), nose_hump_incr=0.3, eye_scale_incr=0.2,
                chin_prominent_incr=0.2),
        Skin(tone=(0.66, 0.46, 0.34), lips=(0.60, 0.35, 0.32), brows=(0.07, 0.05, 0.045), brow_thickness=0.7,
             brow_arch=0.35, hair=(0.06, 0.05, 0.045), hairline=0.4, stubble=0.45, blush=0.25, shadow=0.4,
             iris=(0.34, 0.20, 0.10), seed=7),
        hair=STYLES["ravi"],
        lashes=LashStyle(length=4.6, line=0.5),
        shirt=Shirt((0.86, 0.86, 0.83), neckline=0.3),
    ),
    "pip": Recipe(
        _person(0.75, 0.50, 0.5, 0.4, (0.1, 0.35, 0.55), lips_closed=0.05, mouth_angles_up=1.0, eye_scale_incr=1.0,
                eye_height1_incr=0.5, eye_height2_incr=0.6, eye_height3_incr=0.5),
        Skin(tone=(0.95, 0.76, 0.66), lips=(0.86, 0.45, 0.45), brows=(0.03, 0.25, 0.29), brow_thickness=0.6,
             brow_arch=0.6, brow_length=35.0, hair=(0.06, 0.42, 0.46), hairline=0.2, blush=1.0, freckles=0.8,
             shadow=0.0, mottle=0.1, iris=(0.20, 0.46, 0.62), iris_size=1.15, sclera=(0.96, 0.95, 0.95), seed=8),
        style=Style(eye_scale=1.42, eye_reach=0.055, eye_spread=0.004, jaw_width=0.95, jaw_height=0.94,
                    nose_scale=0.80, skull_scale=1.10, neck_width=0.72),
        hair=STYLES["pip"],
        lashes=LashStyle(length=7.4, line=1.1),
        shirt=Shirt((0.96, 0.78, 0.25), neckline=0.3),
        rig=VRM_RIG,
    ),
    "moss": Recipe(
        _person(0.4, 0.66, 0.62, 0.5, (0.5, 0.3, 0.2), lips_closed=0.04, nose_scale_horiz_incr=0.5,
                mouth_angles_up=0.9),
        Skin(tone=(0.42, 0.56, 0.34), lips=(0.40, 0.42, 0.30), brows=(0.16, 0.24, 0.12), brow_thickness=0.9,
             brow_arch=0.3, hair_amount=0.0, blush=0.25, shadow=0.5, mottle=0.8, freckles=0.5, wrinkles=0.3,
             iris=(0.92, 0.62, 0.12), iris_size=1.35, pupil="slit", sclera=(0.93, 0.90, 0.74),
             spots=0.75, spot_color=(0.24, 0.40, 0.26), seed=9),
        style=Style(eye_scale=1.38, eye_spread=0.003, jaw_width=1.10, jaw_height=0.88, nose_scale=0.86,
                    mouth_width=1.28, skull_scale=0.96, neck_width=0.72, ear_length=0.085, ear_rise=0.40),
        lashes=LashStyle((0.10, 0.14, 0.08), upper=18, lower=8, length=4.0),
        shirt=Shirt((0.42, 0.27, 0.17), neckline=0.4),
        smile=Smile((0.90, 0.84, 0.66), (0.42, 0.36, 0.34), fangs=0.004),
        horns=Horns(),
        rig=ARTIST_RIG,
    ),
}  # fmt: skip
"""The avatars that ship."""

_TONES = np.array([[0.92, 0.76, 0.67], [0.84, 0.64, 0.52], [0.72, 0.51, 0.38], [0.52, 0.34, 0.24], [0.30, 0.19, 0.14]])
_HAIRS = np.array([[0.05, 0.04, 0.04], [0.17, 0.11, 0.08], [0.38, 0.24, 0.13], [0.70, 0.56, 0.36], [0.62, 0.60, 0.58]])
_SHIRTS = np.array([[0.05, 0.05, 0.06], [0.2, 0.25, 0.4], [0.6, 0.2, 0.2], [0.3, 0.5, 0.35], [0.9, 0.9, 0.88]])
_IRISES = np.array([[0.18, 0.11, 0.06], [0.36, 0.24, 0.12], [0.32, 0.40, 0.26], [0.36, 0.50, 0.62], [0.45, 0.46, 0.46]])
_HEAD_CHANGES = ("cheek", "chin", "ear", "eye", "forehead", "head", "mouth", "nose", "neck", "eyebrows")


def _color(rng: np.random.Generator, palette: np.ndarray) -> tuple[float, float, float]:
    at = rng.uniform(0, len(palette) - 1)
    low = int(at)
    color = palette[low] + (at - low) * (palette[low + 1] - palette[low]) + rng.normal(0, 0.02, 3)
    return tuple(np.clip(color, 0.02, 1.0))


def _random_identity(source: "HeadSource", rng: np.random.Generator) -> Identity:
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


def random_recipe(source: "HeadSource", rng: np.random.Generator) -> Recipe:
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
            iris=_color(rng, _IRISES), seed=int(rng.integers(1 << 30)),
        ),
        shirt=Shirt(_color(rng, _SHIRTS), neckline=rng.uniform(-1.2, 0.6)),
        hair=_random_hair(rng, hair),
        lashes=LashStyle(_color(rng, _HAIRS[:3]), length=rng.uniform(2.5, 8)),
    )  # fmt: skip


def _random_hair(rng: np.random.Generator, color: Color) -> HairStyle | None:
    """A style of the cast in a colour of its own; one head in four has none."""
    if rng.uniform() < 0.25:
        return None
    style = STYLES[str(rng.choice(sorted(STYLES)))]
    light = np.clip(np.array(color) * rng.uniform(1.2, 2.2), 0, 1)
    return replace(style, color=color, highlight=tuple(light), seed=int(rng.integers(1 << 30)))
