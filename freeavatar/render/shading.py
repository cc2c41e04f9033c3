"""Light on a face: wrapped diffuse for skin, a rough specular lobe, tone mapping. Plain torch."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Light:
    """A directional light."""

    direction: tuple[float, float, float]
    """Towards the light, in camera space (x right, y up, z to the viewer)."""
    color: tuple[float, float, float]
    """Linear RGB radiance."""


@dataclass(frozen=True)
class Lighting:
    """Lights and sky; the default is a soft key from the upper left, a fill and a rim."""

    lights: tuple[Light, ...] = field(
        default_factory=lambda: (
            Light((-0.55, 0.62, 0.75), (1.75, 1.66, 1.55)),
            Light((0.85, 0.10, 0.55), (0.42, 0.46, 0.54)),
            Light((0.55, 0.45, -0.75), (0.95, 0.95, 1.05)),
        )
    )
    sky: tuple[float, float, float] = (0.44, 0.46, 0.50)
    ground: tuple[float, float, float] = (0.22, 0.19, 0.17)


WRAP = (0.42, 0.22, 0.16)
"""How far red, green and blue light reaches past the terminator: a cheap stand-in for subsurface
scattering (Green, "Real-Time Approximations to Subsurface Scattering", GPU Gems, 2004)."""


def to_linear(srgb: Tensor) -> Tensor:
    """sRGB in [0, 1] to linear light (gamma 2.2)."""
    return srgb.clamp_min(0) ** 2.2


def tone_map(linear: Tensor) -> Tensor:
    """Linear radiance to sRGB in [0, 1] by a filmic curve (Hable's form as fitted by Narkowicz 2015)."""
    x = linear.clamp_min(0) * 0.72
    x = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    return x.clamp(0, 1) ** (1 / 2.2)


def shade(albedo: Tensor, normal: Tensor, to_eye: Tensor, roughness: Tensor, lighting: Lighting) -> Tensor:
    """Radiance towards the eye.

    Args:
        albedo: linear base colour, ``(N, 3)``.
        normal: unit, ``(N, 3)``, facing the eye.
        to_eye: unit, ``(N, 3)``.
        roughness: ``(N, 1)`` in [0, 1].
        lighting: the lights.

    Returns:
        Linear RGB, ``(N, 3)``.
    """
    up = 0.5 + 0.5 * normal[:, 1:2]
    sky, ground = albedo.new_tensor(lighting.sky), albedo.new_tensor(lighting.ground)
    diffuse = ground + up * (sky - ground)
    specular = torch.zeros_like(albedo)
    wrap = albedo.new_tensor(WRAP)
    shininess = 2 / roughness.clamp(0.05, 1) ** 4 - 2 + 1e-3
    fresnel = 0.04 + 0.5 * (1 - (normal * to_eye).sum(1, keepdim=True).clamp(0, 1)) ** 5
    for light in lighting.lights:
        direction = torch.nn.functional.normalize(albedo.new_tensor(light.direction), dim=0)
        color = albedo.new_tensor(light.color)
        cosine = normal @ direction[:, None]
        diffuse = diffuse + color * ((cosine + wrap) / (1 + wrap)).clamp_min(0) ** 1.2
        half = torch.nn.functional.normalize(to_eye + direction, dim=1)
        lobe = (normal * half).sum(1, keepdim=True).clamp_min(1e-4) ** shininess * (shininess + 8) / 25
        specular = specular + color * (lobe.clamp_max(40) * fresnel * cosine.clamp_min(0))
    return albedo * diffuse * 0.62 + specular
