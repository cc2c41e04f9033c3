"""Light on a face, in plain torch: skin, eyes, hair and the rest.

``compiled/lanes.py`` holds the same formulas for numba: a change here is a change there, and a test compares them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from freeavatar.render import surfaces
from freeavatar.render.look import Lighting
from freeavatar.render.surfaces import BROAD, BROAD_ALPHA, IS_EYE, IS_HAIR, RIM, TIGHT, TIGHT_ALPHA, WRAP


@dataclass(frozen=True)
class Points:
    """What is known of ``N`` points to shade."""

    albedo: Tensor
    """Linear base colour, ``(N, 3)``."""
    normal: Tensor
    """Unit, facing the eye, ``(N, 3)``."""
    to_eye: Tensor
    """Unit, ``(N, 3)``."""
    tangent: Tensor
    """Direction of the strand on hair, unit; zero where there is none, ``(N, 3)``."""
    material: Tensor
    """Rows of :func:`surfaces.material_table`, ``(N, 12)``."""
    key: Tensor
    """How much of the key light arrives, ``(N, 1)`` in [0, 1]."""

    def at(self, chosen: Tensor) -> "Points":
        """The points where ``chosen`` ``(N,)`` is true."""
        return Points(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def face_eye(normal: Tensor, to_eye: Tensor) -> Tensor:
    """Unit normals ``(N, 3)`` that face the eye: those of backs reversed, those that just turn away bent."""
    normal = normalize(normal, dim=1)
    facing = _dot(normal, to_eye)
    bent = normalize(normal - facing.clamp_max(0) * to_eye, dim=1)
    return torch.where(facing < surfaces.BACK, -normal, bent)


def shade(points: Points, lighting: Lighting) -> Tensor:
    """Radiance towards the eye, linear RGB ``(N, 3)``."""
    is_eye, is_hair = points.material[:, IS_EYE] > 0, points.material[:, IS_HAIR] > 0
    albedo = points.albedo
    if is_eye.any():
        albedo = albedo * torch.where(is_eye[:, None], _lid_shadow(points.normal), 1.0)
    radiance = albedo * _diffuse(points, lighting) * surfaces.DIFFUSE + _specular(points, lighting)
    if is_eye.any():
        radiance = radiance.index_add(0, is_eye.nonzero()[:, 0], _mirror(points.at(is_eye), lighting))
    if is_hair.any():
        radiance = radiance.index_add(0, is_hair.nonzero()[:, 0], _sheen(points.at(is_hair), lighting))
    return radiance


def _lights(points: Points, lighting: Lighting) -> list[tuple[Tensor, Tensor, Tensor | None]]:
    """Direction ``(3,)``, colour ``(3,)`` and, of the key, how much arrives."""
    new = points.albedo.new_tensor
    key = points.key + points.material[:, surfaces.FILL, None] * (1 - points.key)
    directions = [normalize(new(light.direction), dim=0) for light in lighting.lights]
    return [
        (direction, new(light.color), key if k == 0 else None)
        for k, (direction, light) in enumerate(zip(directions, lighting.lights, strict=True))
    ]


def _dot(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(-1, keepdim=True)


def _diffuse(points: Points, lighting: Lighting) -> Tensor:
    up = 0.5 + 0.5 * points.normal[:, 1:2]
    sky, ground = points.albedo.new_tensor(lighting.sky), points.albedo.new_tensor(lighting.ground)
    diffuse = ground + up * (sky - ground)
    wrap = points.material[:, WRAP : WRAP + 3]
    bleed = points.material[:, surfaces.BLEED, None] * points.albedo.new_tensor(surfaces.BLEED_COLOR)
    for direction, color, key in _lights(points, lighting):
        reach = ((_dot(points.normal, direction) + wrap) / (1 + wrap)).clamp_min(0)
        lit = color * reach * (0.8 + 0.2 * reach)
        diffuse = diffuse + (lit if key is None else lit * (key + bleed * key * (1 - key)))
    return diffuse


def _grazing(points: Points) -> tuple[Tensor, Tensor]:
    """Cosine to the eye, and Fresnel's reflectance (Schlick 1994)."""
    facing = _dot(points.normal, points.to_eye).clamp(0, 1)
    return facing, surfaces.FRESNEL[0] + surfaces.FRESNEL[1] * (1 - facing) ** 5


def _half(points: Points, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Squared cosine between half vector and light, and what ``to_eye + direction`` is divided by to be unit."""
    along = _dot(points.to_eye, direction).clamp_min(-0.98)
    return (1 + along) / 2, (2 + 2 * along).sqrt()


def _specular(points: Points, lighting: Lighting) -> Tensor:
    facing, fresnel = _grazing(points)
    up = 0.5 + 0.5 * points.normal[:, 1:2]
    rim = points.material[:, RIM, None] * up * (1 - facing) ** 3
    specular = rim * points.albedo.new_tensor(lighting.sky)
    for direction, color, key in _lights(points, lighting):
        cosine = _dot(points.normal, direction)
        light_half, length = _half(points, direction)
        square = ((facing + cosine) / length).clamp(0, 1) ** 2
        lobes = torch.zeros_like(square)
        for gain, alpha in ((BROAD, BROAD_ALPHA), (TIGHT, TIGHT_ALPHA)):
            a2 = points.material[:, alpha, None]
            lobes = lobes + points.material[:, gain, None] * a2 / (square * (a2 - 1) + 1) ** 2
        lobes = (lobes / light_half.clamp_min(0.1)).clamp_max(surfaces.BRIGHTEST_LOBE)
        arriving = cosine.clamp_min(0) if key is None else cosine.clamp_min(0) * key
        specular = specular + color * (lobes * fresnel * arriving)
    return specular


def _smooth(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def _lid_shadow(normal: Tensor) -> Tensor:
    begin, full, depth = surfaces.LID_SHADOW
    return 1 - depth * _smooth((normal[:, 1:2] - begin) / (full - begin))


def _mirror(points: Points, lighting: Lighting) -> Tensor:
    """What the wet eye mirrors: the sky, and the key light as a soft box."""
    facing, fresnel = _grazing(points)
    sky, ground = points.albedo.new_tensor(lighting.sky), points.albedo.new_tensor(lighting.ground)
    up = 0.5 + 0.5 * (2 * facing * points.normal[:, 1:2] - points.to_eye[:, 1:2])
    seen = fresnel * (ground + up * (sky - ground))
    for direction, color, key in _lights(points, lighting)[:1]:
        x, _, z = points.to_eye.unbind(1)
        across = torch.stack([z, torch.zeros_like(z), -x], dim=1)
        across = across / (x * x + z * z).clamp_min(1e-6).sqrt()[:, None]
        away = points.normal - normalize(direction + surfaces.CATCHLIGHT_BEND * points.to_eye, dim=1)
        width, height, soft = surfaces.CATCHLIGHT
        box = _smooth((width - _dot(away, across).abs()) / soft + 0.5)
        above = torch.linalg.cross(points.to_eye, across)
        box = box * _smooth((height - _dot(away, above).abs()) / soft + 0.5)
        assert key is not None
        seen = seen + color * (surfaces.CATCHLIGHT_GAIN * box * (0.3 + 0.7 * key))
    return seen


def _sheen(points: Points, lighting: Lighting) -> Tensor:
    """Light mirrored along strands: a white lobe and one in the colour of the hair."""
    facing, _ = _grazing(points)
    white, tinted, second = surfaces.HAIR_GAINS
    sheen = torch.zeros_like(points.albedo)
    for direction, color, key in _lights(points, lighting):
        cosine = _dot(points.normal, direction)
        _, length = _half(points, direction)
        along = (_dot(points.tangent, points.to_eye) + _dot(points.tangent, direction)) / length
        across = (facing + cosine) / length
        lobes = [
            1 / (1 + sharpness * (along + shift * across) ** 2) ** 4
            for shift, sharpness in zip(surfaces.HAIR_SHIFTS, surfaces.HAIR_SHARPNESS, strict=True)
        ]
        arriving = (0.3 + 0.7 * cosine).clamp_min(0) * (1.0 if key is None else key)
        sheen = sheen + color * arriving * (
            lobes[0] * (white + tinted * points.albedo) + second * lobes[1] * points.albedo
        )
    return sheen * _dot(points.tangent, points.tangent)
