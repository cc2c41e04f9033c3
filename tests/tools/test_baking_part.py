"""Cutting, folding and reshaping the parts of a head."""

from dataclasses import replace

import numpy as np
import pytest

from tools.baking.clothes import Shirt, cut_bust
from tools.baking.part import Finish, Part, Use, border, clip, hem, joined, make_part
from tools.baking.teeth import PROFILE, Smile, build_teeth
from tools.baking.warp import Style, draw_out_ears, make_warp

FACE = dict(
    eyes=np.array([[0.0295, 0.70, 0.12], [-0.0295, 0.70, 0.12]]), nose=np.array([0.0, 0.66, 0.16]),
    mouth=np.array([0.0, 0.63, 0.145]), neck=np.array([0.0, 0.56, 0.01]),
)  # fmt: skip


def grid(n: int = 5) -> Part:
    """A square of side 1 in the plane z = 0, facing +z, with one target that lifts it by x."""
    x, y = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n))
    positions = np.stack([x.ravel(), y.ravel(), np.zeros(n * n)], axis=1)
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    triangles = np.concatenate([np.stack([a, a + 1, a + n + 1], 1), np.stack([a, a + n + 1, a + n], 1)])
    offsets = np.zeros((1, n * n, 3))
    offsets[0, :, 2] = positions[:, 0]
    return make_part("square", Finish(), positions, positions[:, :2], triangles, offsets)


def area(part: Part) -> float:
    a, b, c = part.positions[part.triangles].transpose(1, 0, 2)
    return float(np.cross(b - a, c - a)[:, 2].sum() / 2)


def test_a_cut_is_exact_and_interpolates_everything() -> None:
    part = grid()
    cut = clip(part, 0.6 - part.positions[:, 0] - 0.3 * part.positions[:, 1])
    assert area(cut) == pytest.approx(0.45)
    assert (0.6 - cut.positions[:, 0] - 0.3 * cut.positions[:, 1]).min() > -1e-9
    np.testing.assert_allclose(cut.uv, cut.positions[:, :2], atol=1e-12)
    np.testing.assert_allclose(cut.offsets[0, :, 2], cut.positions[:, 0], atol=1e-12)
    np.testing.assert_allclose(cut.normals, np.tile([0, 0, 1], (len(cut.normals), 1)), atol=1e-12)


def test_a_cut_leaves_one_closed_border() -> None:
    part = grid()
    edges = border(clip(part, 0.6 - part.positions[:, 0]))
    assert np.array_equal(np.sort(edges[:, 0]), np.sort(edges[:, 1]))


def test_cutting_nothing_and_everything() -> None:
    part = grid()
    assert area(clip(part, np.ones(25))) == pytest.approx(1)
    assert len(clip(part, -np.ones(25)).triangles) == 0


def test_a_hem_hangs_from_the_border_and_faces_outwards() -> None:
    part = grid()
    inward = np.tile([0.0, 0.0, -0.1], (25, 1))
    folded = hem(part, border(part), inward)
    assert len(folded.triangles) == len(part.triangles) + 2 * 16
    strip = folded.normals[len(part.positions) :]
    outside = folded.positions[len(part.positions) :, :2] - 0.5
    assert ((strip[:, :2] * outside).sum(1) > 0).all()


def test_a_target_on_top_of_others_has_the_normals_of_their_sum() -> None:
    part = grid()
    x = part.positions[:, 0] - part.positions[:, 0].mean()
    fold = np.zeros((2, *part.positions.shape))
    fold[0, :, 2], fold[1, :, 2] = 3.0 * x**2, -3.0 * x**2
    part = replace(part, offsets=fold)
    alone = part.normal_offsets([Use(), Use()])
    stacked = part.normal_offsets([Use(), Use(below={0: 1.0})])
    np.testing.assert_allclose(part.normals + stacked.sum(0), part.normals, atol=1e-6)
    assert np.abs(alone.sum(0)).max() > 0.1
    assert np.abs(part.normal_offsets([Use(), Use(0.5)])[1] - alone[1]).max() > 0.01


def test_joined_parts_keep_their_triangles_apart() -> None:
    both = joined([grid(), grid()])
    assert area(both) == pytest.approx(2)
    assert both.merge.max() == 49


def test_the_default_style_changes_nothing() -> None:
    points = np.random.default_rng(0).uniform([-0.1, 0.5, -0.1], [0.1, 0.8, 0.2], (200, 3))
    np.testing.assert_allclose(make_warp(Style(), **FACE)(points), points, atol=1e-12)


def test_larger_eyes_grow_about_their_centres_by_the_scale_asked_for() -> None:
    warp = make_warp(Style(eye_scale=1.4, eye_reach=0.055), **FACE)
    ring = FACE["eyes"][0] + 0.011 * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 0]])
    np.testing.assert_allclose(warp(ring) - FACE["eyes"][0], 1.4 * (ring - FACE["eyes"][0]), rtol=1e-2)
    far = np.array([[0.0, 0.60, 0.1]])
    np.testing.assert_allclose(warp(far), far, atol=1e-9)


def test_a_style_keeps_left_and_right_alike() -> None:
    style = Style(eye_scale=1.4, jaw_width=0.8, jaw_height=0.9, nose_scale=0.7, mouth_width=1.2, neck_width=0.7)
    points = np.random.default_rng(1).uniform([-0.1, 0.5, -0.1], [0.1, 0.8, 0.2], (200, 3))
    warp, flip = make_warp(style, **FACE), np.array([-1, 1, 1])
    np.testing.assert_allclose(warp(points * flip), warp(points) * flip, atol=1e-9)


def test_ears_are_drawn_out_and_nothing_else_is() -> None:
    rng = np.random.default_rng(2)
    points = rng.uniform([-0.09, 0.65, -0.02], [0.09, 0.72, 0.02], (300, 3))
    is_ear = (np.abs(points[:, 0]) > 0.075).astype(float)
    move = draw_out_ears(points, is_ear, Style(ear_length=0.08))
    assert not move[is_ear == 0].any()
    assert (move[is_ear > 0][:, 0] * points[is_ear > 0][:, 0] >= 0).all()
    assert np.linalg.norm(move, axis=1).max() > 0.04


def strip(low: float, high: float) -> np.ndarray:
    x = np.linspace(-0.033, 0.033, 40)
    z = 0.139 - 42 * x**2
    return np.concatenate([np.stack([x, np.full(40, y), z], axis=1) for y in (low, high)])


def test_teeth_follow_their_jaw_and_point_outwards() -> None:
    upper, lower = strip(0.630, 0.648), strip(0.614, 0.634)
    drop = np.zeros((1, 80, 3))
    drop[0, :, 1] = -0.02 - 0.1 * (lower[:, 2] - 0.1)
    part = build_teeth({"upper": (upper, np.zeros((1, 80, 3))), "lower": (lower, drop)}, Smile())
    half = len(part.positions) // 2
    assert not part.offsets[0, :half].any()
    expected = -0.02 - 0.1 * (part.positions[half:, 2] - 0.1)
    np.testing.assert_allclose(part.offsets[0, half:, 1], expected, atol=1e-9)
    row = np.arange(len(part.positions)) % half // (half // len(PROFILE))
    front = (np.abs(part.positions[:, 0]) < 0.02) & (row > 0) & (row < 6)
    assert (part.normals[front][:, 2] > 0).all()


def test_a_bust_is_cut_into_skin_above_and_a_shirt_below_its_neckline() -> None:
    turn, height = np.meshgrid(np.linspace(0, 2 * np.pi, 49)[:-1], np.linspace(-0.14, 0.2, 60))
    radius = np.where(height < 0, 0.05 + 0.5 * np.clip(-height, 0, 0.15), 0.05)
    positions = np.stack([radius * np.sin(turn), height, radius * np.cos(turn)], axis=-1).reshape(-1, 3)
    r, c = np.meshgrid(np.arange(59), np.arange(48), indexing="ij")
    a, b = (r * 48 + c).ravel(), (r * 48 + (c + 1) % 48).ravel()
    triangles = np.concatenate([np.stack([a, b, b + 48], 1), np.stack([a, b + 48, a + 48], 1)])
    skin = make_part("skin", Finish("skin"), positions, positions[:, :2], triangles, np.zeros((1, len(positions), 3)))
    kept, shirt = cut_bust(skin, np.zeros(3), 1.0, Shirt(thickness=0.004))
    assert kept.positions[:, 1].max() == pytest.approx(0.2)
    assert kept.positions[:, 1].min() > shirt.positions[:, 1].min()
    assert shirt.name == "shirt" and shirt.positions[:, 1].max() < 0.05
    reach = np.linalg.norm(shirt.positions * [0.96, 1, 1] + [0, -0.012, 0], axis=1)
    assert reach.max() < 0.116 + 0.006
