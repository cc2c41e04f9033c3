"""Shading: tone curve, symmetry, which way light falls, extremes, gradients."""

from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from freeavatar.avatars import Material
from freeavatar.avatars.avatar import Surface
from freeavatar.render import Light, Lighting
from freeavatar.render.differentiable.shading import Points, face_eye, shade
from freeavatar.render.surfaces import material_table
from freeavatar.render.tones import to_linear, tone_map

EYE = torch.tensor([[0.0, 0.0, 1.0]])
KEY = Lighting(lights=(Light((0.6, 0.3, 0.8), (1.5, 1.2, 1.0)),))


def normals(count: int = 200) -> Tensor:
    """Unit, towards the eye."""
    found = torch.randn(count, 3, generator=torch.manual_seed(0))
    return normalize(found * torch.tensor([1.0, 1.0, 0.0]) + torch.tensor([0, 0, 0.1]) + found.abs() * EYE, dim=1)


def points(
    normal: Tensor, *, roughness: float = 0.5, albedo: float = 0.6, surface: Surface = "plain", key: float = 1.0
) -> Points:
    """Seen along +z; strands hang down."""
    table = torch.from_numpy(material_table([Material("m", (1.0, 1.0, 1.0), roughness, None, surface)])).to(normal)
    return Points(
        albedo=torch.full_like(normal, albedo),
        normal=normal,
        to_eye=EYE.to(normal).expand_as(normal),
        tangent=normal.new_tensor((0.0, -1.0, 0.0)).expand_as(normal),
        material=table.expand(len(normal), -1),
        key=torch.full_like(normal[:, :1], key),
    )


def lit(normal: Tensor, *, lighting: Lighting = KEY, **kind: Any) -> Tensor:
    return shade(points(normal, **kind), lighting)


def test_tone_map_is_monotone_and_bounded() -> None:
    curve = tone_map(torch.cat([torch.tensor([-1.0, 0.0]), torch.logspace(-7, 4, 2000)]))
    assert (curve.diff() >= 0).all()
    assert 0 <= curve.min() < 0.5 / 255 and curve.max() == 1


def test_tone_map_has_a_finite_slope_at_black() -> None:
    light = torch.tensor([-0.1, 0.0, 1e-9, 1e-3, 0.5, 1e3], requires_grad=True)
    (slope,) = torch.autograd.grad(tone_map(light).sum(), light)
    assert slope.isfinite().all() and slope[3:5].min() > 0


def test_to_linear_fixes_black_and_white() -> None:
    assert to_linear(torch.tensor([-0.5, 0.0, 1.0])).tolist() == [0, 0, 1]
    assert to_linear(torch.tensor(0.5)).item() == pytest.approx(0.5**2.2)


def test_mirrored_lights_on_mirrored_normals_look_the_same() -> None:
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    sides = [
        Lighting(lights=(Light((s * 0.6, 0.3, 0.8), (1.5, 1.2, 1.0)), Light((s * -0.9, 0.1, 0.2), (0.3, 0.4, 0.6))))
        for s in (1, -1)
    ]
    torch.testing.assert_close(lit(normals(), lighting=sides[0]), lit(normals() * mirror, lighting=sides[1]))


def test_light_is_brighter_from_the_front() -> None:
    """The sky is symmetric about the direction compared."""
    lighting = Lighting(lights=(Light((1, 0, 0), (1, 1, 1)),))
    facing, away = normalize(torch.tensor([[1.0, 0, 0.3], [-1.0, 0, 0.3]]), dim=1).split(1)
    assert (lit(facing, lighting=lighting) > lit(away, lighting=lighting) + 0.1).all()
    angles = torch.linspace(0, torch.pi / 2, 50)
    turning = torch.stack([angles.cos(), torch.zeros(50), angles.sin()], dim=1)
    assert (lit(turning, lighting=lighting, roughness=1.0).sum(1).diff() < 0).all()


def test_sky_lights_from_above_and_ground_from_below() -> None:
    lighting = Lighting(lights=(), sky=(0.0, 0.0, 1.0), ground=(1.0, 0.0, 0.0))
    up, down = lit(torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]), lighting=lighting)
    assert up[2] > 0 and up[0] == 0 and down[0] > 0 and down[2] == 0


def test_brightness_follows_the_lights_and_the_albedo() -> None:
    dark = Lighting(lights=(), sky=(0, 0, 0), ground=(0, 0, 0))
    assert not lit(normals(), lighting=dark).any()
    assert (lit(normals(), albedo=0.8) > lit(normals(), albedo=0.2)).all()
    assert (lit(normals(), lighting=Lighting()) >= 0).all()


@pytest.mark.parametrize("roughness", [-1.0, 0.0, 1e-4, 0.05, 1.0, 2.0, float("nan")])
@pytest.mark.parametrize("albedo", [0.0, 1.0])
@pytest.mark.parametrize("surface", get_args(Surface))
def test_extremes_are_finite_with_finite_gradients(roughness: float, albedo: float, surface: Surface) -> None:
    direction = normalize(torch.tensor(KEY.lights[0].direction), dim=0)
    highlight = normalize(direction + EYE, dim=1)
    normal = torch.cat([normals(), EYE, highlight, torch.tensor([[1.0, 0.0, 0.0]])]).requires_grad_()
    image = tone_map(lit(normal, roughness=roughness, albedo=albedo, surface=surface))
    assert image.isfinite().all() and image.min() >= 0 and image.max() <= 1
    (gradient,) = torch.autograd.grad(image.sum(), normal)
    assert gradient.isfinite().all()


def test_polish_sharpens_the_highlight() -> None:
    highlight = normalize(normalize(torch.tensor(KEY.lights[0].direction), dim=0) + EYE, dim=1)
    beside = normalize(highlight + torch.tensor([[0.25, 0.0, 0.0]]), dim=1)
    polished, rough = (lit(torch.cat([highlight, beside]), roughness=r, albedo=0.0)[:, 0] for r in (0.3, 0.9))
    assert polished[0] > rough[0] and polished[1] / polished[0] < rough[1] / rough[0]


def test_no_pixels() -> None:
    assert lit(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("surface", get_args(Surface))
def test_gradients_of_shading_match_finite_differences(surface: Surface) -> None:
    normal = normals(12).double()
    given = points(normal, surface=surface, key=0.7)

    def radiance(albedo: Tensor, normal: Tensor, tangent: Tensor, key: Tensor) -> Tensor:
        unit = normalize(normal, dim=1)
        return tone_map(shade(Points(albedo, unit, given.to_eye, tangent, given.material, key), Lighting()))

    inputs = (given.albedo, normal, given.tangent, given.key)
    assert gradcheck(radiance, tuple(x.clone().requires_grad_() for x in inputs))


def test_a_shadow_takes_the_key_light_away_and_red_last() -> None:
    facing = normalize(torch.tensor([[0.2, 0.2, 1.0]]), dim=1)
    bright, edge, dark = (lit(facing, surface="skin", key=k)[0] for k in (1.0, 0.5, 0.0))
    assert (dark < edge).all() and (edge < bright).all()
    share = (edge - dark) / (bright - dark)
    assert share[0] > share[1] > share[2] > 0.45


def test_the_key_light_shows_as_a_bright_spot_in_the_eye_alone() -> None:
    grid = torch.linspace(-0.7, 0.7, 141)
    xy = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), dim=-1).reshape(-1, 2)
    ball = torch.cat([xy, (1 - (xy**2).sum(1, keepdim=True)).clamp_min(0.01).sqrt()], dim=1)
    eye, plain = (lit(ball, surface=s, albedo=0.1, roughness=1.0)[:, 1] for s in ("eye", "plain"))
    spot = ball[eye > plain + 0.5]
    assert 20 < len(spot) < 0.1 * len(ball)
    key = torch.tensor(KEY.lights[0].direction)
    assert (spot.mean(0)[:2] * key[:2] > 0).all() and spot.mean(0)[:2].norm() < (key / key.norm())[:2].norm()


def test_the_upper_lid_darkens_the_eyeball() -> None:
    upper, lower = normalize(torch.tensor([[0.0, 0.45, 0.9], [0.0, -0.45, 0.9]]), dim=1)
    flat = Lighting(lights=(), sky=(1.0, 1.0, 1.0), ground=(1.0, 1.0, 1.0))
    assert (
        lit(upper[None], lighting=flat, surface="eye")[0, 0]
        < 0.7 * lit(lower[None], lighting=flat, surface="eye")[0, 0]
    )


def test_the_sheen_of_hair_runs_across_the_strands_in_its_own_colour() -> None:
    """Strands hang down a sphere: the sheen is a band across them."""
    lighting = Lighting(lights=(Light((0, 0.3, 1.0), (1, 1, 1)),), sky=(0, 0, 0), ground=(0, 0, 0))
    angle = torch.linspace(-1.2, 1.2, 49)
    flank = torch.stack([torch.zeros(49), angle.sin(), angle.cos()], dim=1)
    strand = torch.stack([torch.zeros(49), angle.cos(), -angle.sin()], dim=1)
    given = points(flank, surface="hair")
    bald = Points(given.albedo, flank, given.to_eye, torch.zeros_like(strand), given.material, given.key)
    brown = Points(
        flank.new_tensor((0.4, 0.2, 0.1)).expand(49, 3), flank, given.to_eye, strand, given.material, given.key
    )
    sheen = shade(brown, lighting) - shade(
        Points(brown.albedo, flank, *(getattr(bald, n) for n in ("to_eye", "tangent", "material", "key"))), lighting
    )
    peak = sheen[:, 0].argmax()
    assert 5 < peak < 44 and sheen[peak, 0] > 4 * sheen[[0, -1], 0].max()
    assert sheen[peak, 0] > 1.5 * sheen[peak, 2]


def test_normals_face_the_eye() -> None:
    angle = torch.linspace(-3.1, 3.1, 63)
    around = torch.stack([angle.sin(), torch.zeros(63), angle.cos()], dim=1)
    faced = face_eye(around, EYE.expand(63, 3))
    torch.testing.assert_close(faced.norm(dim=1), torch.ones(63))
    assert faced[:, 2].min() > -1e-6
    front, back = around[:, 2] >= 0, around[:, 2] < -0.4
    torch.testing.assert_close(faced[front], around[front])
    torch.testing.assert_close(faced[back], -around[back])
