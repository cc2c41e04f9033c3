"""Rasterisation: a value by hand, an exact reference, the top-left rule, order, degenerate and wild input."""

import numpy as np
import pytest
import torch

from freeavatar.render.differentiable import ops
from tests.meshes import SIZE, clip, nearest, soup


def rasterize(pos: np.ndarray, tri: object, size: tuple[int, int] = (SIZE, SIZE)) -> np.ndarray:
    triangles = torch.tensor(np.asarray(tri, np.int32).reshape(-1, 3))
    return ops.rasterize(ops.make_context(), torch.tensor(pos)[None], triangles, size)[0][0].numpy()


def test_known_value_with_perspective() -> None:
    """Pixel (0, 0) of a 2x2 image is NDC (-0.5, -0.5): screen weights 1/2, 1/4, 1/4, divided by w = 1, 2, 4."""
    w = np.array([1.0, 2.0, 4.0])
    ndc = np.array([[-1, -1, 0.2, 1], [1, -1, 0.4, 1], [-1, 1, 0.8, 1]])
    rast = rasterize(ndc * w[:, None], [0, 1, 2], (2, 2))
    weights = np.array([1 / 2, 1 / 4, 1 / 4]) / w
    u, v, _ = weights / weights.sum()
    np.testing.assert_allclose(rast[0, 0], (u, v, 0.5 * 0.2 + 0.25 * 0.4 + 0.25 * 0.8, 1))
    assert rast[1, 1].tolist() == [0, 0, 0, 0]


def test_two_hundred_triangles_match_the_exact_reference() -> None:
    pos, tri = soup(np.random.default_rng(0), 200)
    rast, expected = rasterize(pos, tri), nearest(pos, tri)
    for y, x in np.ndindex(SIZE, SIZE):
        depths, index = expected.get((y, x), {}), int(rast[y, x, 3]) - 1
        if not depths:
            assert index == -1
            continue
        # Triangles that share an edge may tie on it.
        assert depths[index] - min(depths.values()) < 1e-12
        assert abs(float(depths[index]) - rast[y, x, 2]) < 1e-9


@pytest.mark.parametrize("centre", [(8.5, 8.5), (8.0, 8.0), (3.5, 9.0), (7.31, 5.87), (-3.2, 4.5)])
@pytest.mark.parametrize("spokes", [3, 8, 31])
def test_a_closed_fan_covers_every_pixel_exactly_once(centre: tuple[float, float], spokes: int) -> None:
    angles = np.linspace(0, 2 * np.pi, spokes, endpoint=False)
    rim = np.array(centre) + 80 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    pos = clip([centre, *rim])
    fan = [(0, k + 1, (k + 1) % spokes + 1) for k in range(spokes)]
    covered = sum((rasterize(pos, t)[..., 3] > 0).astype(int) for t in fan)
    assert (covered == 1).all()
    assert (rasterize(pos, fan)[..., 3] > 0).all()


def test_the_order_of_triangles_and_of_their_corners_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    shared, corners = soup(rng, 200)
    pos, tri = shared[corners.ravel()], np.arange(600).reshape(-1, 3)
    pos[:, 2] = rng.uniform(-1, 1, len(pos))  # no two at one depth
    order = rng.permutation(len(tri))
    first, second = rasterize(pos, tri), rasterize(pos, tri[order])
    np.testing.assert_array_equal(first[..., :3], second[..., :3])
    np.testing.assert_array_equal(first[..., 3], np.concatenate([[0], order + 1])[second[..., 3].astype(int)])
    turned = rasterize(pos, tri[:, [1, 2, 0]])
    np.testing.assert_array_equal(turned[..., 3], first[..., 3])
    np.testing.assert_allclose(turned[..., 0], first[..., 1], atol=1e-3)  # edges are clamped one by one


def test_of_triangles_at_one_depth_the_same_shows_in_any_order() -> None:
    pos, tri = soup(np.random.default_rng(3), 150)
    pos[:, 2] = 0.25 * pos[:, 3]
    order = np.random.default_rng(4).permutation(len(tri))
    first, second = rasterize(pos, tri)[..., 3].astype(int), rasterize(pos, tri[order])[..., 3].astype(int)
    shown, again = (
        np.sort(np.concatenate([[(-1, -1, -1)], t])[i], axis=-1) for t, i in ((tri, first), (tri[order], second))
    )
    np.testing.assert_array_equal(shown, again)


def test_weights_are_weights() -> None:
    pos, tri = soup(np.random.default_rng(2), 200)
    rast = rasterize(pos.astype(np.float32), tri)
    assert rast.dtype == np.float32
    assert rast[..., :2].min() >= 0
    assert rast[..., :2].sum(-1).max() <= 1 + 1e-6


@pytest.mark.parametrize("w", [-1.0, 0.0, np.nan])
def test_triangles_behind_the_camera_are_dropped(w: float) -> None:
    pos = clip([(1, 1), (15, 1), (1, 15), (14, 14)])
    pos[3] *= w
    rast = rasterize(pos, [(1, 3, 2), (0, 1, 2)])
    assert set(np.unique(rast[..., 3])) == {0, 2}
    assert not rasterize(pos, [1, 3, 2]).any()


def test_depth_outside_of_the_clip_range_is_cut() -> None:
    corners = [(-20, -20), (60, -20), (-20, 60)]
    assert rasterize(clip(corners, z=1.0), [0, 1, 2])[..., 3].all()
    assert not rasterize(clip(corners, z=1.01), [0, 1, 2]).any()
    assert not rasterize(clip(corners, z=-1.01), [0, 1, 2]).any()
    assert not rasterize(clip(corners, z=np.nan), [0, 1, 2]).any()


def test_triangles_without_area_leave_no_pixel() -> None:
    pos = clip([(2, 2), (10, 10), (6, 6), (2, 2)])
    assert not rasterize(pos, [(0, 1, 2), (0, 0, 1), (1, 1, 1), (0, 3, 1)]).any()


def test_slivers_stay_finite() -> None:
    """Collinear in floating point, yet of some area once snapped."""
    rng = np.random.default_rng(3)
    centres, step = rng.integers(0, SIZE, (600, 1, 2)) + 0.5, rng.uniform(-12, 12, (600, 1, 2))
    points = centres + step * rng.uniform(-1, 1, (600, 3, 1))
    pos = torch.tensor(clip(points.reshape(-1, 2)), dtype=torch.float32)[None].requires_grad_()
    tri = torch.arange(1800, dtype=torch.int32).reshape(-1, 3)
    rast, _ = ops.rasterize(ops.make_context(), pos, tri, (SIZE, SIZE))
    assert (rast[..., 3] > 0).sum() > 20
    assert rast.isfinite().all()
    rast[..., :2].sum().backward()
    assert pos.grad is not None and pos.grad.abs().max() < 1e4


def test_nothing_to_draw() -> None:
    assert not rasterize(clip([(1, 1), (9, 1), (1, 9)]), np.zeros((0, 3))).any()
    assert not rasterize(np.zeros((0, 4)), np.zeros((0, 3))).any()
    off = clip([(20, 1), (30, 1), (20, 9), (-9, -9), (-1, -9), (-9, -1)])
    assert not rasterize(off, [(0, 1, 2), (3, 4, 5)]).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (17, 3)])
def test_any_size(size: tuple[int, int]) -> None:
    rast = rasterize(clip([(-20, -20), (60, -20), (-20, 60)]), [0, 1, 2], size)
    assert rast.shape == (*size, 4)
    assert (rast[..., 3] == 1).all()


def test_large_coordinates_cover_and_wild_ones_are_dropped() -> None:
    shape = np.array([[-1, -1, 0.5, 1], [3, -1, 0.5, 1], [-1, 3, 0.5, 1]])
    for scale in (10, 1e3, 5e4):
        assert (rasterize(shape * [scale, scale, 1, 1], [0, 1, 2])[..., 3] == 1).all()
    small = clip([(1, 1), (15, 1), (1, 15)], z=0.9)
    alone = rasterize(small, [0, 1, 2])
    for scale in (1e7, 1e9, 1e13, 1e30, np.inf):
        wild = shape * [scale, -scale, 1, 1]
        assert (rasterize(np.concatenate([small, wild]), [(0, 1, 2), (3, 4, 5)]) == alone).all()


def test_a_batch_equals_its_items() -> None:
    rng = np.random.default_rng(4)
    tri = torch.tensor(soup(rng, 30)[1], dtype=torch.int32)
    pos = torch.tensor(np.stack([soup(rng, 1)[0] for _ in range(3)]))
    context = ops.make_context()
    batch, _ = ops.rasterize(context, pos, tri, (SIZE, SIZE))
    single = torch.cat([ops.rasterize(context, p[None], tri, (SIZE, SIZE))[0] for p in pos])
    assert torch.equal(batch, single)
