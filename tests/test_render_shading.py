"""Shading: tone curve, symmetry, which way light falls, extremes, gradients."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from freeavatar.render.shading import Light, Lighting, shade, to_linear, tone_map

EYE = torch.tensor([[0.0, 0.0, 1.0]])
KEY = Lighting(lights=(Light((0.6, 0.3, 0.8), (1.5, 1.2, 1.0)),))


def normals(count: int = 200) -> Tensor:
    """Unit, towards the eye."""
    found = torch.randn(count, 3, generator=torch.manual_seed(0))
    return normalize(found * torch.tensor([1.0, 1.0, 0.0]) + torch.tensor([0, 0, 0.1]) + found.abs() * EYE, dim=1)


def lit(normal: Tensor, *, lighting: Lighting = KEY, roughness: float = 0.5, albedo: float = 0.6) -> Tensor:
    return shade(
        torch.full_like(normal, albedo),
        normal,
        EYE.expand_as(normal),
        torch.full_like(normal[:, :1], roughness),
        lighting,
    )


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


@pytest.mark.parametrize("roughness", [-1.0, 0.0, 1e-4, 0.05, 1.0, 2.0])
@pytest.mark.parametrize("albedo", [0.0, 1.0])
def test_extremes_are_finite_with_finite_gradients(roughness: float, albedo: float) -> None:
    direction = normalize(torch.tensor(KEY.lights[0].direction), dim=0)
    highlight = normalize(direction + EYE, dim=1)
    normal = torch.cat([normals(), EYE, highlight, torch.tensor([[1.0, 0.0, 0.0]])]).requires_grad_()
    image = tone_map(lit(normal, roughness=roughness, albedo=albedo))
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
