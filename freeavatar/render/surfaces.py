"""How each kind of surface answers light: the numbers that the shading in torch and in numba share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from freeavatar.avatars.avatar import Material, Surface


@dataclass(frozen=True)
class SurfaceLook:
    """One row of the table."""

    wrap: tuple[float, float, float]
    """How far red, green and blue light reaches past the terminator: a cheap stand-in for subsurface scattering
    (Green, "Real-Time Approximations to Subsurface Scattering", GPU Gems, 2004)."""
    broad: float
    """Strength of the specular lobe of the material's own roughness."""
    tight: float
    """Strength of a second lobe of half that roughness: the film of oil on skin."""
    least_roughness: float
    """Smoother materials are shaded as if this rough: what is sharper than a pixel would flicker."""
    rim: float
    """Strength of the sky's sheen where the surface turns away."""
    bleed: float
    """How far red light spreads into the edge of a shadow."""
    fill: float = 0.0
    """Share of the key light that arrives in spite of a shadow: the lips, which are thin, let some through."""


SURFACE_LOOKS: dict[Surface, SurfaceLook] = {
    "skin": SurfaceLook((0.42, 0.22, 0.16), 0.20, 0.02, 0.45, 0.14, 1.0),
    "eye": SurfaceLook((0.30, 0.24, 0.22), 0.30, 0.0, 0.3, 0.0, 0.3),
    "hair": SurfaceLook((0.25, 0.25, 0.25), 0.12, 0.0, 0.5, 0.0, 0.0),
    "mouth": SurfaceLook((0.45, 0.40, 0.38), 0.10, 0.0, 0.4, 0.0, 0.0, fill=0.5),
    "plain": SurfaceLook((0.42, 0.22, 0.16), 0.5, 0.0, 0.15, 0.0, 0.0),
}

WRAP, BROAD, BROAD_ALPHA, TIGHT, TIGHT_ALPHA, RIM, BLEED, IS_EYE, IS_HAIR, FILL = 0, 3, 4, 5, 6, 7, 8, 9, 10, 11
"""Columns of :func:`material_table`; WRAP takes three."""

BACK = -0.35
"""Normals whose cosine to the eye is below this belong to a back and are reversed; those between it and 0 are of a
front that curves away, and are bent until they face the eye: reversing them would dot silhouettes with dark pixels."""
DIFFUSE = 0.62
"""Share of the light that is reflected diffusely."""
BLEED_COLOR = (0.9, 0.25, 0.1)
"""How much of each primary spreads into the edge of a shadow on skin."""
FRESNEL = (0.04, 0.5)
"""Reflectance at right angles, and what is added at grazing ones."""
BRIGHTEST_LOBE = 40.0
"""A bound on the specular lobes: a sharper highlight than this is a sparkle."""

LID_SHADOW = (0.02, 0.45, 0.62)
"""Height on the eyeball, as its normal's y, where the lid's shadow begins and is full, and how dark it is."""
CATCHLIGHT = (0.085, 0.115, 0.035)
"""Half width, half height and softness of the mirrored soft box, in units of the eyeball's radius."""
CATCHLIGHT_BEND = 2.8
"""Weight of the view against the key light where the soft box stands: the cornea is more curved than the
eyeball, which draws its mirror images towards the pupil."""
CATCHLIGHT_GAIN = 0.85

HAIR_SHIFTS = (-0.10, 0.16)
"""How far the two lobes are tilted from the normal of the strand towards its root and tip: the scales of the
cuticle (Scheuermann, "Practical Real-Time Hair Rendering and Shading", 2004, after Kajiya and Kay 1989)."""
HAIR_SHARPNESS = (11.0, 4.0)
"""Each lobe is ``1 / (1 + sharpness * x^2)^4`` of the sine x between the half vector and the strand's normal."""
HAIR_GAINS = (0.03, 0.45, 1.0)
"""The first lobe's white part, its part in the hair's colour, and the second lobe, all in the hair's colour."""


def material_table(materials: Sequence[Material]) -> np.ndarray:
    """Shading parameters of each material, ``(M, 12)`` float32, any roughness made finite."""
    rows = []
    for material in materials:
        look = SURFACE_LOOKS[material.surface if material.surface in get_args(Surface) else "plain"]
        rough = float(np.clip(np.nan_to_num(material.roughness, nan=1.0), look.least_roughness, 1))
        lobes = []
        for strength, r in ((look.broad, rough), (look.tight, 0.5 * rough)):
            # GGX with the visibility term of Karis, "Optimizing PBR for Mobile", 2015.
            lobes += [strength / (4 * (r + 0.5)), r**4]
        kind = (material.surface == "eye", material.surface == "hair")
        rows.append([*look.wrap, *lobes, look.rim, look.bleed, *kind, look.fill])
    return np.array(rows, np.float32)
