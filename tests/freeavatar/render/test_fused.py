"""The fast path: the same picture as the differentiable one; exact visibility; order, threads, sizes, memory."""

import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from freeavatar.avatars import Avatar, Corrective, Material, load_avatar
from freeavatar.avatars.avatar import Surface
from freeavatar.render import Camera, Light, Lighting, Look, Renderer
from freeavatar.render.compiled.raster import Raster
from freeavatar.render.compiled.resolve import STRAIGHT
from freeavatar.render.compiled.visibility import canonical_order
from tests.meshes import AVATAR, CAMERA, SIZE, ball, crumbled, make_avatar, nearest, soup, wrinkled

SMALL = Look((48, 48))
HEAD = np.array([18.0, -7.0, 5.0])


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(AVATAR)


def slow(renderer: Renderer, weights: np.ndarray, head: np.ndarray | None, look: Look, camera: Camera) -> np.ndarray:
    """What the differentiable path draws, ``(H, W, C)`` in [0, 255]."""
    image = renderer.render(
        torch.tensor(weights, dtype=torch.float32)[None],
        head=None if head is None else head[None],
        look=replace(look, supersample=2),
        camera=camera,
    )
    return image[0].permute(1, 2, 0).numpy() * 255


def difference(renderer: Renderer, weights: np.ndarray, head: np.ndarray | None, look: Look, camera: Camera):
    """Absolute difference of the two paths, ``(H, W)``, the largest of the channels."""
    fast = renderer.picture(weights, head, look=look, camera=camera).astype(float)
    return np.abs(fast - slow(renderer, weights, head, look, camera)).max(2)


def test_an_avatar_that_ships_looks_the_same_on_both_paths() -> None:
    avatar = load_avatar("ines")
    renderer, rng = Renderer(avatar), np.random.default_rng(0)
    weights = rng.uniform(0, 0.7, len(avatar.target_names)) * (rng.uniform(size=len(avatar.target_names)) < 0.3)
    camera = replace(renderer.camera("bust"), yaw=-20, pitch=5)
    found = difference(renderer, weights, HEAD, Look((512, 512)), camera)
    assert found.mean() < 1.1
    assert (found > 6).mean() < 0.03


def test_a_view_aligns_both_paths_alike(renderer: Renderer) -> None:
    turned = np.deg2rad(20)
    view = np.eye(4)
    view[:2, :2] = 1.6 * np.array([(np.cos(turned), -np.sin(turned)), (np.sin(turned), np.cos(turned))])
    view[:2, 3] = 0.2, -0.1
    weights = np.array([0.4, 0.1], np.float32)
    fast = renderer.picture(weights, look=SMALL, camera=CAMERA, view=view).astype(float)
    image = renderer.render(
        torch.from_numpy(weights)[None], look=replace(SMALL, supersample=2), camera=CAMERA, view=view[None]
    )
    found = np.abs(fast - image[0].permute(1, 2, 0).numpy() * 255).max(2)
    assert found.mean() < 1.5 and np.abs(fast - renderer.picture(weights, look=SMALL, camera=CAMERA)).mean() > 5


@pytest.mark.parametrize("surface", ["skin", "eye", "hair", "mouth", "plain"])
@pytest.mark.parametrize("has_texture", [False, True])
def test_every_surface_looks_the_same_on_both_paths(surface: Surface, has_texture: bool) -> None:
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(60, 255, (3, 4, 3)), np.ones((5, 5, 1))).astype(np.uint8) if has_texture else None
    avatar = replace(make_avatar(3), materials=(Material("m", (0.9, 0.7, 0.6), 0.3, texture, surface),))
    strands = np.cross(avatar.normals, (0.9, 0.2, 0.3))
    strands /= np.linalg.norm(strands, axis=1, keepdims=True)
    avatar = replace(avatar, tangents=strands.astype(np.float32), uv=avatar.uv * 3 - 1)
    found = difference(Renderer(avatar), np.array([0.3, 0.5]), HEAD, Look((96, 96)), CAMERA)
    assert found.mean() < (1.2 if surface == "hair" else 1)
    assert (found > 6).mean() < 0.04


@pytest.mark.parametrize("size", [(400, 400), (401, 399)])
@pytest.mark.parametrize("background", [Look().background, None])
@pytest.mark.parametrize("has_texture", [False, True])
def test_pixels_lit_together_look_the_same(size: tuple[int, int], background: object, has_texture: bool) -> None:
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(60, 255, (3, 4, 3)), np.ones((5, 5, 1))).astype(np.uint8) if has_texture else None
    avatar = wrinkled(replace(make_avatar(3), materials=(Material("m", (0.9, 0.7, 0.6), 0.3, texture, "skin"),)))
    renderer, look = Renderer(avatar), Look(size, background=background)
    found = difference(renderer, np.array([0.3, 0.1]), HEAD, look, CAMERA)
    assert found.mean() < 0.6
    assert (found > 6).mean() < 0.02
    bend = renderer._made[0]._bend
    assert (bend >= 0).any() and (bend[bend >= 0] < STRAIGHT**2).mean() > 0.5


@pytest.mark.parametrize("lights", [0, 1, 2, 5])
def test_any_number_of_lights(renderer: Renderer, lights: int) -> None:
    rng = np.random.default_rng(lights)
    chosen = tuple(Light(tuple(rng.normal(size=3)), tuple(rng.uniform(0, 1, 3))) for _ in range(lights))
    look = replace(SMALL, lighting=Lighting(chosen))
    assert difference(renderer, np.zeros(2), None, look, CAMERA).mean() < 1.5


def test_correctives_follow_their_controls() -> None:
    moves = np.concatenate([AVATAR.target_positions, 0.5 * AVATAR.target_positions[:1]])
    mended = replace(
        AVATAR,
        correctives=(Corrective("both", ("puff", "drop")),),
        target_positions=moves,
        target_normals=np.zeros_like(moves),
    )
    weights = np.array([0.8, 0.9])
    assert difference(Renderer(mended), weights, None, SMALL, CAMERA).mean() < 1.5
    plain, fixed = (Renderer(a).picture(weights, look=SMALL, camera=CAMERA) for a in (AVATAR, mended))
    assert (plain != fixed).any()


@pytest.mark.parametrize("weights", [(0.0, 0.0), (0.7, 0.0), (0.5, 0.6)])
def test_wrinkles_look_the_same_on_both_paths(weights: tuple[float, float]) -> None:
    folded = Renderer(wrinkled(make_avatar(3)))
    found = difference(folded, np.array(weights), HEAD, Look((96, 96)), CAMERA)
    assert found.mean() < 1
    assert (found > 6).mean() < 0.04
    plain = Renderer(make_avatar(3)).picture(np.array(weights), HEAD, look=Look((96, 96)), camera=CAMERA)
    changed = np.abs(folded.picture(np.array(weights), HEAD, look=Look((96, 96)), camera=CAMERA).astype(int) - plain)
    assert (changed.max() > 15) == any(weights) and changed.any() == any(weights)


def visible(pos: np.ndarray, tri: np.ndarray, size: int = SIZE) -> Raster:
    raster = Raster(len(pos), tri.astype(np.int32), size, size)
    raster.snap(pos.astype(np.float32))
    raster.bin()
    raster.fill()
    return raster


@pytest.mark.parametrize("seed", range(4))
def test_visibility_matches_the_exact_reference(seed: int) -> None:
    pos, tri = soup(np.random.default_rng(seed), 200)
    pos = pos.astype(np.float32).astype(np.float64)
    raster, expected = visible(pos, tri), nearest(pos, tri)
    for y, x in np.ndindex(SIZE, SIZE):
        depths, index = expected.get((y, x), {}), int(raster.ids[y, x])
        if not depths:
            assert index == -1
            continue
        assert depths[index] - min(depths.values()) < 1e-6
        assert abs(float(depths[index]) - raster.depths[y, x]) < 3e-6


@pytest.mark.parametrize("centre", [(8.5, 8.5), (8.0, 8.0), (3.5, 9.0), (7.31, 5.87), (-3.2, 4.5)])
@pytest.mark.parametrize("spokes", [3, 8, 31])
def test_a_closed_fan_covers_every_sample_exactly_once(centre: tuple[float, float], spokes: int) -> None:
    angles = np.linspace(0, 2 * np.pi, spokes, endpoint=False)
    rim = np.array(centre) + 80 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    xy = np.concatenate([[centre], rim]) / (SIZE / 2) - 1
    pos = np.concatenate([xy, np.zeros((len(xy), 1)), np.ones((len(xy), 1))], axis=1)
    fan = np.array([(0, k + 1, (k + 1) % spokes + 1) for k in range(spokes)])
    covered = sum((visible(pos, t[None]).ids[:, :SIZE] >= 0).astype(int) for t in fan)
    assert (covered == 1).all()


def test_triangles_that_cannot_be_drawn_are_dropped() -> None:
    good = np.array([(-3, -3, 0.5, 1), (9, -3, 0.5, 1), (-3, 9, 0.5, 1)])
    wild = [(part, bad) for part in (0, 1) for bad in (np.nan, np.inf, 1e30, -1e30)]
    for part, bad in [*wild, (2, np.nan), (3, np.nan), (3, 0.0), (3, -1.0)]:
        pos = np.concatenate([good, good])
        pos[4, part] = bad
        raster = visible(pos, np.array([(3, 4, 5), (0, 1, 2)]))
        assert (raster.ids[:, :SIZE] == 1).all()
    assert (visible(good, np.zeros((0, 3))).ids == -1).all()


def test_the_order_of_triangles_does_not_matter() -> None:
    """Not even where two lie at one depth."""
    rng = np.random.default_rng(0)
    count = len(AVATAR.positions)
    doubled = replace(
        AVATAR,
        **{
            name: np.concatenate([getattr(AVATAR, name)] * 2)
            for name in ("positions", "normals", "tangents", "uv", "material", "head_weight")
        },
        colors=np.concatenate([AVATAR.colors, 1 - AVATAR.colors]),
        triangles=np.concatenate([AVATAR.triangles, AVATAR.triangles + count]),
        target_positions=np.concatenate([AVATAR.target_positions] * 2, axis=1),
        target_normals=np.concatenate([AVATAR.target_normals] * 2, axis=1),
    )
    shuffled = replace(doubled, triangles=rng.permutation(doubled.triangles))
    first, second = (Renderer(a) for a in (doubled, shuffled))
    pictures = [r.picture(np.array([0.2, 0.4]), HEAD, look=SMALL, camera=CAMERA) for r in (first, second)]
    np.testing.assert_array_equal(*pictures)
    images = [slow(r, np.array([0.2, 0.4]), HEAD, replace(SMALL, background=None), CAMERA) for r in (first, second)]
    np.testing.assert_allclose(*images, atol=1e-3)


def test_canonical_order_sorts_by_vertices() -> None:
    triangles = np.random.default_rng(0).integers(0, 9, (200, 3)).astype(np.int32)
    shuffled = np.random.default_rng(1).permutation(triangles)
    np.testing.assert_array_equal(triangles[canonical_order(triangles)], shuffled[canonical_order(shuffled)])


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (33, 7), (50, 17)])
def test_any_size(renderer: Renderer, size: tuple[int, int]) -> None:
    for background in (Look().background, None):
        look = Look(size, background=background)
        image = renderer.picture(np.zeros(2), look=look, camera=CAMERA)
        assert image.shape == (*size, 3 if background else 4) and image.dtype == np.uint8
        assert difference(renderer, np.zeros(2), None, look, CAMERA).mean() < 8


def test_sizes_and_looks_may_change_from_picture_to_picture(renderer: Renderer) -> None:
    look = replace(SMALL, background=((1.0, 0.0, 0.0), (1.0, 0.0, 0.0)))
    first = renderer.picture(np.zeros(2), look=SMALL, camera=CAMERA)
    other = renderer.picture(np.zeros(2), look=replace(look, size=(20, 60)), camera=CAMERA)
    assert other.shape == (20, 60, 3) and other[0, 0].tolist() == [255, 0, 0]
    np.testing.assert_array_equal(renderer.picture(np.zeros(2), look=SMALL, camera=CAMERA), first)


def test_without_a_background_alpha_is_straight(renderer: Renderer) -> None:
    clear = renderer.picture(np.zeros(2), HEAD, look=replace(SMALL, background=None), camera=CAMERA).astype(float)
    grey = replace(SMALL, background=((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    opaque = renderer.picture(np.zeros(2), HEAD, look=grey, camera=CAMERA)
    alpha = clear[..., 3:] / 255
    assert set(np.unique(clear[..., 3]).tolist()) >= {0.0, 255.0} and ((alpha > 0) & (alpha < 1)).any()
    np.testing.assert_allclose(clear[..., :3] * alpha + 127.5 * (1 - alpha), opaque, atol=1.5)


def test_triangles_smaller_than_pixels(renderer: Renderer) -> None:
    crumbs = Renderer(crumbled(AVATAR, 0.2))
    assert difference(crumbs, np.zeros(2), HEAD, SMALL, CAMERA).mean() < 6


def test_triangles_larger_than_the_picture() -> None:
    """Each lies in every band: the lists of triangles have to grow."""
    near = Camera((0.0, 0.0, 0.0), 0.001)
    coarse = Renderer(make_avatar(0))
    image = coarse.picture(np.zeros(2), look=Look((200, 32)), camera=near)
    assert np.abs(image.astype(float) - slow(coarse, np.zeros(2), None, Look((200, 32)), near)).mean() < 1


def test_materials_out_of_range_still_draw() -> None:
    for roughness in (0.0, -1.0, 5.0, float("nan")):
        odd = replace(AVATAR, materials=(Material("m", (1.0, 1.0, 1.0), roughness, None, "eye"),))
        assert difference(Renderer(odd), np.zeros(2), None, SMALL, CAMERA).mean() < 1.5


@pytest.mark.parametrize("column", ["uv", "colors"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_textures_are_read_where_coordinates_are_no_numbers(column: str, value: float) -> None:
    texture = np.full((3, 4, 3), 200, np.uint8)
    odd = replace(AVATAR, materials=(Material("m", (1.0, 1.0, 1.0), 0.5, texture, "skin"),))
    odd = replace(odd, **{column: np.full_like(getattr(odd, column), value)})
    assert Renderer(odd).picture(np.zeros(2), look=SMALL, camera=CAMERA).shape == (48, 48, 3)


def test_backgrounds_beyond_white_are_white() -> None:
    bright = replace(SMALL, background=((1.4, 1.0, -0.2), (1.4, 1.0, -0.2)))
    assert Renderer(AVATAR).picture(np.zeros(2), look=bright, camera=CAMERA)[0, 0].tolist() == [255, 255, 0]


def test_normals_and_weights_that_are_no_numbers_end_nothing() -> None:
    odd = replace(AVATAR, normals=np.full_like(AVATAR.normals, np.nan))
    assert Renderer(odd).picture(np.zeros(2), look=SMALL, camera=CAMERA).shape == (48, 48, 3)
    hollow = Renderer(AVATAR).picture(np.full(2, np.nan), look=SMALL, camera=CAMERA)
    assert hollow.shape == (48, 48, 3)


def test_arguments_of_the_wrong_shape_are_named(renderer: Renderer) -> None:
    with pytest.raises(ValueError, match=r"weights \(3,\).*must be \(2,\)"):
        renderer.picture(np.zeros(3))
    with pytest.raises(ValueError, match=r"out \(4, 4, 3\)"):
        renderer.picture(np.zeros(2), look=SMALL, out=np.zeros((4, 4, 3), np.uint8))


def test_pictures_drawn_side_by_side_are_right(renderer: Renderer) -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 1, (8, 2))
    expected = [renderer.picture(w, look=SMALL, camera=CAMERA) for w in weights]
    found: dict[int, list[np.ndarray]] = {}

    def draw(thread: int) -> None:
        found[thread] = [renderer.picture(w, look=SMALL, camera=CAMERA) for w in weights]

    threads = [threading.Thread(target=draw, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pictures in found.values():
        np.testing.assert_array_equal(pictures, expected)


def test_a_picture_allocates_next_to_nothing(renderer: Renderer) -> None:
    look, out = Look((256, 256)), np.empty((256, 256, 3), np.uint8)
    for _ in range(2):
        renderer.picture(np.ones(2), HEAD, look=look, camera=CAMERA, out=out)
    tracemalloc.start()
    for _ in range(3):
        assert renderer.picture(np.ones(2), HEAD, look=look, camera=CAMERA, out=out) is out
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000


def test_the_largest_avatars_are_drawn() -> None:
    unit, tri = ball(7)
    assert len(unit) > 150_000
    count = len(unit)
    huge: Avatar = replace(
        AVATAR,
        positions=(unit * 0.1).astype(np.float32),
        normals=unit.astype(np.float32),
        tangents=np.zeros((count, 3), np.float32),
        uv=np.zeros((count, 2), np.float32),
        colors=np.full((count, 3), 0.5, np.float32),
        triangles=tri.astype(np.int32),
        material=np.zeros(count, np.int32),
        target_positions=np.stack([unit * 0.02] * 2).astype(np.float32),
        target_normals=np.zeros((2, count, 3), np.float32),
        head_weight=np.ones(count, np.float32),
    )
    assert difference(Renderer(huge), np.array([0.5, 0.0]), HEAD, Look((64, 64)), CAMERA).mean() < 1
