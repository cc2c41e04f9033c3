"""Hair, brows, lashes and beards, grown on a head made of an ellipsoid."""

from dataclasses import replace

import numpy as np
import pytest

from freeavatar.avatars.glb import vertex_normals
from tools.baking.beard import BeardStyle, beard_mask, grow_beard
from tools.baking.brows import BrowStyle, brow_shade, grow_brows
from tools.baking.hair import grow_hair
from tools.baking.hairstyle import HairStyle
from tools.baking.lashes import LashStyle, grow_lashes
from tools.baking.lids import lid_rim
from tools.baking.scalp import Hairline, clip, scalp_roots, sphere, spread
from tools.baking.shape import HeadShape, Solid
from tools.baking.strands import Locks, Ribbon, frames, strand_texture, sweep
from tools.baking.styles import BEARDS, STYLES

BROWN, BLOND = (0.3, 0.2, 0.1), (0.6, 0.45, 0.3)
EYES = np.array([[0.029, 0.0, 0.0], [-0.029, 0.0, 0.0]])
EYE_RADIUS = 0.016


def head_shape(scale: float = 1.0, detail: int = 28) -> HeadShape:
    """A ball-headed person whose eyes are dents in an ellipsoid."""
    unit, triangles = sphere(detail)
    p = unit * [0.074, 0.115, 0.096] + [0, -0.004, -0.062]
    for eye in EYES:
        away = p[:, :2] - eye[:2]
        hole = (np.linalg.norm(away / [1.0, 0.45], axis=1) < 0.012) & (p[:, 2] > 0)
        p[hole, 2] -= 0.015
    return HeadShape(
        positions=p * scale,
        normals=vertex_normals(p, triangles, np.arange(len(p))),
        triangles=triangles,
        eyes=EYES * scale,
        eye_radius=EYE_RADIUS * scale,
        mouth=np.array([[-0.025, -0.062, 0.018], [0.025, -0.062, 0.018]]) * scale,
        nose=np.array([0.0, -0.035, 0.035]) * scale,
    )


HEAD, COARSE = head_shape(), head_shape(detail=20)
SHORT = HairStyle(BROWN, BLOND, locks=60, clumps=20)


def check(locks: Locks, head: HeadShape = HEAD) -> None:
    count = len(locks.positions)
    for name in ("positions", "normals", "tangents", "colors"):
        values = getattr(locks, name)
        assert values.shape == (count, 3) and np.isfinite(values).all(), name
    np.testing.assert_allclose(np.linalg.norm(locks.normals, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(locks.tangents, axis=1), 1, atol=1e-6)
    assert locks.uv.shape == (count, 2) and locks.uv.min() >= 0 and locks.uv.max() <= 1
    assert locks.colors.min() >= 0 and locks.colors.max() <= 1
    assert set(locks.triangles.ravel()) == set(range(count))
    assert locks.roots.shape == (count,) and locks.roots.min() >= 0 and locks.roots.max() < len(head.positions)


def test_the_distance_to_a_ball_is_that_to_its_centre_less_its_radius() -> None:
    unit, _ = sphere(60)
    solid = Solid(unit * 100 + [0, 0, -80])
    points = np.array([[130.0, 0, 0], [0, 60, 90], [-40, 120, 30], [0, 30, -40]]) + [0, 0, -80]
    expected = np.linalg.norm(points + [0, 0, 80], axis=1) - 100
    np.testing.assert_allclose(solid.distance(points), expected, atol=3)


def test_pushed_points_lie_above_the_skin() -> None:
    points = HEAD.model[HEAD.model[:, 1] > 30] * 0.95
    assert HEAD.solid.distance(points).max() < 0
    assert HEAD.solid.distance(HEAD.solid.push_out(points, 4.0)).min() > 3


def test_model_millimetres_and_back() -> None:
    points = np.random.default_rng(0).normal(0, 0.1, (7, 3))
    np.testing.assert_allclose(HEAD.to_metres(HEAD.to_model(points)), points)


def test_the_geodesic_sphere_is_closed_and_faces_outwards() -> None:
    points, triangles = sphere(5)
    assert points.shape == (252, 3) and triangles.shape == (500, 3)
    corners = points[triangles]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((face * corners.mean(1)).sum(1) > 0).all()


def test_spread_points_keep_apart() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (500, 3))
    chosen = points[spread(20, points, rng)]
    gaps = np.linalg.norm(chosen[:, None] - chosen, axis=2) + 9 * np.eye(20)
    assert gaps.min() > 0.25


def test_a_clipped_mesh_ends_on_the_line_and_keeps_its_area() -> None:
    points, triangles = sphere(6)
    cut, kept, source = clip(points, triangles, lambda p: p[:, 1] - 0.21)
    assert cut[:, 1].min() == pytest.approx(0.21, abs=1e-2)
    corners = cut[kept]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx(2 * np.pi * (1 - 0.21), rel=0.02)
    assert (points[source, 1] > 0.21).all()


def test_roots_lie_behind_the_hairline_on_the_skin() -> None:
    hairline = Hairline()
    roots = scalp_roots(HEAD, hairline, 80, np.random.default_rng(0))
    assert roots.shape == (80, 3)
    assert (hairline.inside(roots) > 0).all()
    assert np.abs(HEAD.solid.distance(roots)).max() < 1


def test_frames_are_right_angled_and_do_not_flip() -> None:
    t = np.linspace(0, 4, 30)
    path = np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)[None] * 40
    tangents, normals = frames(path, np.tile([0.0, 0.0, 1.0], (1, 30, 1)))
    np.testing.assert_allclose((tangents * normals).sum(-1), 0, atol=1e-6)
    assert (normals[:, 1:] * normals[:, :-1]).sum(-1).min() > 0.8


def test_a_swept_ribbon_is_as_wide_as_asked_and_ends_in_a_point() -> None:
    path = np.linspace([0, 150, 0], [0, 200, 0], 9)[None]
    ribbon = Ribbon(10.0, thickness=0.0, root=1.0, points=3)
    locks = sweep(HEAD, path, np.tile([0.0, 0, 1], (1, 9, 1)), ribbon, np.full((1, 9, 3), 0.5))
    rings = HEAD.to_model(locks.positions).reshape(9, 3, 3)
    widths = np.linalg.norm(rings[:, 0] - rings[:, 2], axis=1)
    assert widths[0] == pytest.approx(10) and widths[-1] == pytest.approx(0, abs=1e-6)
    assert (np.diff(widths[4:]) < 0).all()
    corners = locks.positions[locks.triangles[:4]]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (face[:, 2] > 0).all()


@pytest.mark.parametrize("name", STYLES)
def test_styles_keep_to_the_budget_off_the_skin_and_off_the_face(name: str) -> None:
    locks = grow_hair(HEAD, STYLES[name])
    check(locks)
    assert len(locks.positions) <= 9000 and len(locks.triangles) <= 15000
    points = HEAD.to_model(locks.positions)
    assert np.quantile(HEAD.solid.distance(points[locks.uv[:, 1] > 0.25]), 0.01) > -2
    before_eyes = (np.abs(points[:, 0]) < 45) & (np.abs(points[:, 1]) < 9) & (points[:, 2] > 0)
    assert before_eyes.sum() < 0.002 * len(points)


def test_hair_is_the_same_each_time_and_scales_with_the_head() -> None:
    small, large = grow_hair(HEAD, SHORT), grow_hair(head_shape(1.5), SHORT)
    np.testing.assert_array_equal(small.positions, grow_hair(HEAD, SHORT).positions)
    np.testing.assert_allclose(large.positions, small.positions * 1.5, atol=2e-3)
    other = grow_hair(HEAD, replace(SHORT, seed=1))
    assert other.positions.shape != small.positions.shape or not np.allclose(other.positions, small.positions)


def test_longer_hair_reaches_lower_until_it_is_cut() -> None:
    lowest = [
        HEAD.to_model(grow_hair(HEAD, replace(SHORT, lengths=(x,) * 4, cut=cut)).positions)[:, 1].min()
        for x, cut in ((40, None), (200, None), (200, -60.0))
    ]
    assert lowest[1] < lowest[0] - 60
    assert lowest[1] + 30 < lowest[2]


def test_hair_is_darkest_at_its_roots() -> None:
    locks = grow_hair(HEAD, replace(SHORT, tips=0.5))
    luma = locks.colors.mean(1)
    assert luma[locks.uv[:, 1] == 0].mean() < 0.7 * luma[locks.uv[:, 1] == 1].mean()


def test_the_rim_of_an_eye_surrounds_it() -> None:
    for eye in (0, 1):
        d = HEAD.positions[lid_rim(HEAD, eye)] - HEAD.eyes[eye]
        turn = np.sort(np.arctan2(d[:, 1], d[:, 0]))
        assert np.diff(np.append(turn, turn[0] + 2 * np.pi)).max() < np.pi


def test_lashes_start_at_the_rim_and_point_away_from_the_eyeball() -> None:
    locks, footing = grow_lashes(HEAD, LashStyle())
    check(locks)
    assert np.linalg.norm(locks.positions - footing.of(HEAD.positions), axis=1).max() < 0.01
    assert len(locks.positions) <= 900
    rims = np.concatenate([lid_rim(HEAD, eye) for eye in (0, 1)])
    assert set(locks.roots) <= set(rims)
    eyes = HEAD.eyes[(locks.positions[:, 0] < 0).astype(int)]
    gap = np.linalg.norm(locks.positions - eyes, axis=1)
    tip = locks.uv[:, 1] == 1
    assert gap[tip].mean() > gap[locks.uv[:, 1] == 0].mean() + 0.002


def test_brows_lie_on_the_skin_above_the_eyes_and_mirror_each_other() -> None:
    locks = grow_brows(HEAD, BrowStyle())
    check(locks)
    assert len(locks.positions) <= 1000
    gap = HEAD.solid.distance(HEAD.to_model(locks.positions))
    assert np.abs(gap).max() < 4
    assert (locks.positions[:, 1] > HEAD.eyes[0, 1]).all()
    left, right = (locks.positions[locks.positions[:, 0] * s > 0].mean(0) * [s, 1, 1] for s in (1, -1))
    np.testing.assert_allclose(left, right, atol=1.5e-3)


def test_the_shade_of_a_brow_covers_what_its_hairs_grow_from_and_nothing_else() -> None:
    style = BrowStyle()
    hairs = grow_brows(HEAD, style)
    middle = hairs.positions[np.abs(hairs.positions[:, 0] - HEAD.eyes[0, 0]) < 0.01]
    assert np.median(brow_shade(HEAD, style, middle)) > 0.6
    elsewhere = np.concatenate([HEAD.eyes + [0, 0, 0.016], HEAD.mouth, HEAD.nose[None], [[0.03, 0.06, 0.01]]])
    assert brow_shade(HEAD, style, elsewhere).max() < 0.01


@pytest.mark.parametrize("name", BEARDS)
def test_beards_leave_the_lips_free_and_move_with_the_skin_below(name: str) -> None:
    locks = grow_beard(COARSE, BEARDS[name])
    check(locks, COARSE)
    assert len(locks.positions) <= 3000
    gap = np.linalg.norm(locks.positions - COARSE.positions[locks.roots], axis=1)
    assert gap.max() < 0.06
    mouth = HEAD.to_model(HEAD.mouth.mean(0))[None]
    assert beard_mask(HEAD, BEARDS[name], mouth)[0] < 0


def test_a_goatee_is_narrower_than_a_full_beard() -> None:
    full = grow_beard(HEAD, BeardStyle(BROWN, BLOND))
    goatee = grow_beard(HEAD, BeardStyle(BROWN, BLOND, sides=0.0))
    assert np.abs(goatee.positions[:, 0]).max() < 0.85 * np.abs(full.positions[:, 0]).max()


def test_streaks_run_along_the_strands() -> None:
    texture = strand_texture((64, 128), seed=0)
    assert texture.shape == (64, 128) and texture.min() >= 0 and texture.max() <= 1
    across, along = np.abs(np.diff(texture, axis=1)).mean(), np.abs(np.diff(texture, axis=0)).mean()
    assert across > 4 * along
    assert np.abs(texture[:, 0] - texture[:, -1]).mean() < 3 * across
