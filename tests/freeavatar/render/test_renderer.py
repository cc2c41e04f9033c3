"""Renderer, on a ball with a red nose and a neck that stays: pictures, poses, sizes and gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from freeavatar.avatars import Avatar, Material, WrinkleLayer, Wrinkles, builtin_avatars, load_avatar
from freeavatar.framing import FRAMINGS, Framing
from freeavatar.render import Camera, Light, Lighting, Look, Renderer
from freeavatar.render.camera import CHIN_BELOW_MOUTH, HAIRLINE_ABOVE_EYES
from freeavatar.render.look import head_matrix
from freeavatar.render.renderer import GPU_BATCH
from freeavatar.rig import ARKIT
from tests.meshes import AVATAR, CAMERA, crumbled, make_avatar, wrinkled

SMALL = Look((32, 32))
REST = torch.zeros(1, 2)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(AVATAR)


def nose(picture: Tensor) -> np.ndarray:
    """Middle of the red pixels of a ``(3, H, W)`` picture, ``(x, y)`` in parts of its size."""
    y, x = torch.nonzero(picture[0] - picture[2] > 0.15, as_tuple=True)
    assert len(x) > 3
    return np.array([x.float().mean() / picture.shape[2], y.float().mean() / picture.shape[1]])


def test_shape_range_and_type(renderer: Renderer) -> None:
    image = renderer.render(REST)
    assert image.shape == (1, 3, 512, 512) and image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1


def test_the_ball_is_where_the_camera_says_and_background_around_it(renderer: Renderer) -> None:
    look = replace(SMALL, background=((1.0, 0.0, 1.0), (0.0, 1.0, 0.0)))
    image = renderer.render(REST, look=look, camera=CAMERA)[0]
    ramp = torch.linspace(0, 1, 32)
    background = torch.stack([1 - ramp, ramp, 1 - ramp])[..., None].expand(3, 32, 32)
    y, x = np.mgrid[:32, :32] - 15.5
    radius = torch.tensor(np.hypot(x, y)) / 32 * 0.32
    outside, within = radius > 0.112, radius < 0.09
    torch.testing.assert_close(image[:, outside], background[:, outside])
    assert ((image - background).abs().amax(0)[within] > 0.02).all()
    np.testing.assert_allclose(nose(image), 0.5, atol=0.03)


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (33, 7), (17, 17)])
@pytest.mark.parametrize("supersample", [1, 3])
def test_any_size(renderer: Renderer, size: tuple[int, int], supersample: int) -> None:
    image = renderer.render(REST, look=Look(size, supersample=supersample), camera=CAMERA)
    assert image.shape == (1, 3, *size)
    assert image.isfinite().all() and image.min() >= 0 and image.max() <= 1


def test_sizes_below_one_are_refused() -> None:
    for arguments in ({"size": (0, 4)}, {"supersample": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            Look(**arguments)


def test_supersampling_averages_the_larger_picture(renderer: Renderer) -> None:
    large = renderer.render(REST, look=Look((64, 64)), camera=CAMERA)
    small = renderer.render(REST, look=replace(SMALL, supersample=2), camera=CAMERA)
    torch.testing.assert_close(small, torch.nn.functional.avg_pool2d(large, 2))


def test_colours_stay_in_range_where_triangles_are_smaller_than_pixels() -> None:
    """A pixel is blended with up to four neighbours, by weights that may add up to more than 1."""
    head = np.random.default_rng(0).uniform(-30, 30, (40, 3))
    look = Look((32, 32), background=((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    image = Renderer(crumbled(AVATAR, 0.2)).render(REST.expand(40, 2), head=head, look=look, camera=CAMERA)
    assert image.min() >= 0 and image.max() <= 1


def test_a_batch_equals_its_items(renderer: Renderer) -> None:
    rng = np.random.default_rng(0)
    weights = torch.tensor(rng.uniform(0, 1, (3, 2)), dtype=torch.float32)
    head = rng.uniform(-20, 20, (3, 3))
    view = np.eye(4) + rng.uniform(-0.1, 0.1, (3, 4, 4)) * np.diag([1, 1, 0, 0])
    batch = renderer.render(weights, head=head, view=view, look=SMALL, camera=CAMERA)
    for k in range(3):
        part = slice(k, k + 1)
        single = renderer.render(weights[part], head=head[part], view=view[part], look=SMALL, camera=CAMERA)
        torch.testing.assert_close(batch[part], single, atol=1e-3, rtol=0)


@pytest.mark.parametrize("is_on_gpu", [False, True])
def test_pictures_drawn_together_are_those_drawn_alone(is_on_gpu: bool) -> None:
    """The second way is a GPU's, which draws in torch."""
    renderer, look, rng = Renderer(AVATAR), Look((40, 40)), np.random.default_rng(0)
    renderer.is_on_gpu = is_on_gpu
    weights, heads = rng.uniform(0, 1, (3, 2)).astype(np.float32), rng.uniform(-20, 20, (3, 3)).astype(np.float32)
    together = renderer.pictures(weights, heads, look=look, camera=CAMERA)
    for row, head, found in zip(weights, heads, together, strict=True):
        alone = renderer.picture(row, head, look=look, camera=CAMERA)
        np.testing.assert_allclose(found.astype(int), alone, atol=1)
    assert renderer.batch((512, 512)) == (GPU_BATCH if is_on_gpu else 1)
    assert renderer.batch((4000, 4000)) == 1


def test_targets_move_what_they_should(renderer: Renderer) -> None:
    positions, normals = renderer.deform(torch.tensor([[0.5, 0.0], [0.0, 1.0]]))
    radius = positions[0].norm(dim=1) - torch.tensor(AVATAR.positions).norm(dim=1)
    torch.testing.assert_close(radius, torch.full_like(radius, 0.01))
    moved = (positions[1] - torch.tensor(AVATAR.positions)).abs().amax(1) > 1e-6
    assert torch.equal(moved, torch.tensor(AVATAR.positions[:, 1] < 0))
    torch.testing.assert_close(normals.norm(dim=2), torch.ones(2, len(AVATAR.positions)))


def test_the_head_moves_without_what_has_no_weight(renderer: Renderer) -> None:
    rest, rest_normals = renderer.deform(REST)
    turned, normals = renderer.deform(REST, np.array([[20.0, -10.0, 15.0]]))
    neck = torch.tensor(AVATAR.head_weight == 0)
    assert neck.any()
    torch.testing.assert_close(turned[:, neck], rest[:, neck])
    torch.testing.assert_close(normals[:, neck], rest_normals[:, neck])
    assert (turned - rest)[:, ~neck].norm(dim=2).min() > 0.005
    torch.testing.assert_close(turned[:, ~neck].norm(dim=2), rest[:, ~neck].norm(dim=2))


def test_the_head_turns_about_its_pivot() -> None:
    pivot = np.array([0.0, -0.1, 0.0], np.float32)
    turned, _ = Renderer(replace(AVATAR, head_pivot=pivot)).deform(REST, np.array([[0.0, 0.0, 90.0]]))
    top = AVATAR.positions[:, 1].argmax()
    np.testing.assert_allclose(
        turned[0, top, :2], (AVATAR.positions[top, 1] + 0.1, -0.1 - AVATAR.positions[top, 0]), atol=1e-5
    )


def test_yaw_turns_the_nose_right_and_pitch_down(renderer: Renderer) -> None:
    head = np.array([[0.0, 0, 0], [25, 0, 0], [0, 25, 0]])
    rest, right, down = (nose(p) for p in renderer.render(REST.expand(3, 2), head=head, look=SMALL, camera=CAMERA))
    assert right[0] > rest[0] + 0.08 and abs(right[1] - rest[1]) < 0.03
    assert down[1] > rest[1] + 0.08 and abs(down[0] - rest[0]) < 0.03


def test_roll_turns_clockwise(renderer: Renderer) -> None:
    """A nose that looks up, thus is high in the picture, moves right; one that looks right moves down."""
    head = np.array([[0.0, -30, 0], [30, 0, 0], [0, 0, 90]])
    turn = head_matrix(head)
    forward = np.array([0, 0, 1.0])
    np.testing.assert_allclose(turn[2] @ turn[0] @ forward, (0.5, 0, 0.866), atol=1e-3)
    np.testing.assert_allclose(turn[2] @ turn[1] @ forward, (0, -0.5, 0.866), atol=1e-3)
    marked = replace(
        AVATAR, colors=np.where(AVATAR.positions[:, 1:2] > 0.06, (0.8, 0.02, 0.02), (0.3, 0.4, 0.4)).astype(np.float32)
    )
    upright, rolled = Renderer(marked).render(
        REST.expand(2, 2), head=np.array([[0.0, 0, 0], [0, 0, 40]]), look=SMALL, camera=CAMERA
    )
    assert nose(upright)[1] < 0.35 and abs(nose(upright)[0] - 0.5) < 0.05
    assert nose(rolled)[0] > 0.6


def test_head_matrices_are_rotations_of_any_shape() -> None:
    angles = np.random.default_rng(0).uniform(-180, 180, (2, 5, 3))
    turn = head_matrix(angles)
    assert turn.shape == (2, 5, 3, 3)
    np.testing.assert_allclose(turn @ np.swapaxes(turn, -1, -2), np.broadcast_to(np.eye(3), turn.shape), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(turn), 1, atol=1e-5)
    np.testing.assert_allclose(head_matrix(np.zeros(3)), np.eye(3))


def test_a_view_matrix_shifts_the_picture(renderer: Renderer) -> None:
    view = np.eye(4)[None].copy()
    view[0, 0, 3] = 2 * 4 / 32
    plain = renderer.render(REST, look=SMALL, camera=CAMERA)
    shifted = renderer.render(REST, look=SMALL, camera=CAMERA, view=view)
    assert ((shifted[..., 4:] - plain[..., :-4]).abs() > 1e-3).float().mean() < 0.01
    assert (shifted - plain).abs().max() > 0.2


@pytest.mark.parametrize("color", [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0)], ids=["coloured", "black"])
def test_gradients_reach_the_weights(color: tuple[float, float, float]) -> None:
    dyed = replace(AVATAR, materials=(Material("skin", color, 1.0, None),))
    weights = torch.full((2, 2), 0.3, requires_grad=True)
    image = Renderer(dyed).render(weights, look=SMALL, camera=CAMERA)
    (gradient,) = torch.autograd.grad((image * torch.linspace(0, 1, 32)[:, None]).sum(), weights)
    assert gradient.isfinite().all() and (gradient != 0).all()


def test_the_gradient_predicts_how_the_picture_grows() -> None:
    """A bright ball on black that puffs up: the sum of the picture follows its outline."""
    coarse = make_avatar(0)
    bright = Renderer(replace(coarse, colors=np.ones_like(coarse.colors)))
    look = Look((32, 32), background=((0.0, 0, 0), (0.0, 0, 0)))

    def total(puff: Tensor) -> Tensor:
        return bright.render(torch.stack([puff, torch.zeros(())])[None], look=look, camera=CAMERA).sum()

    puff = torch.tensor(0.4, requires_grad=True)
    (gradient,) = torch.autograd.grad(total(puff), puff)
    with torch.no_grad():
        change = (total(puff + 0.2) - total(puff - 0.2)) / 0.4
    assert gradient.item() == pytest.approx(change.item(), rel=0.15)


def test_a_fold_shades_like_the_surface_it_stands_for() -> None:
    """A slope along x on a board turns its normal as if the board itself were turned."""
    board = replace(
        flat := make_avatar(0),
        positions=np.array([(x, y, 0) for y in (-0.1, 0.1) for x in (-0.1, 0.1)], np.float32),
        normals=np.tile(np.float32((0, 0, 1)), (4, 1)),
        tangents=np.zeros((4, 3), np.float32),
        uv=np.array([(x, y) for y in (1, 0) for x in (0, 1)], np.float32),
        colors=np.full((4, 3), 0.5, np.float32),
        triangles=np.array([(0, 1, 3), (0, 3, 2)], np.int32),
        material=np.zeros(4, np.int32),
        head_weight=np.ones(4, np.float32),
        target_positions=np.zeros((2, 4, 3), np.float32),
        target_normals=np.zeros((2, 4, 3), np.float32),
    )
    slope = 0.3
    heights = np.zeros((8, 8, 3), np.float32)
    heights[..., 1] = slope * 0.2
    layer = WrinkleLayer("slope", (0.0, 0.0, 1.0, 1.0), heights, ((1.0, ("puff",)),))
    folded = replace(board, wrinkles=Wrinkles((0,), (layer,)))
    tilted = replace(board, normals=np.tile(np.float32((-slope, 0, 1)) / np.hypot(1, slope), (4, 1)).astype(np.float32))
    weights = torch.tensor([[1.0, 0.0]])
    look = replace(SMALL, lighting=replace(Lighting(), shadow=0.0))
    images = [Renderer(a).render(weights, look=look, camera=CAMERA) for a in (folded, tilted, board)]
    torch.testing.assert_close(images[0], images[1], atol=2e-3, rtol=0)
    assert (images[1] - images[2]).abs().max() > 0.015
    assert flat.wrinkles is None


def test_gradients_reach_the_weights_through_wrinkles() -> None:
    """The ball does not move: all that its weights change is the skin."""
    still = replace(wrinkled(AVATAR), target_positions=np.zeros_like(AVATAR.target_positions))
    renderer = Renderer(still)
    ramp = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))

    def total(puff: Tensor) -> Tensor:
        return (renderer.render(torch.stack([puff, torch.zeros(())])[None], look=SMALL, camera=CAMERA)[0] * ramp).sum()

    puff = torch.tensor(0.4, requires_grad=True)
    (gradient,) = torch.autograd.grad(total(puff), puff)
    with torch.no_grad():
        change = (total(puff + 0.02) - total(puff - 0.02)) / 0.04
    assert gradient.item() == pytest.approx(change.item(), rel=0.1)


def test_textures_multiply_the_colour_and_are_shared(renderer: Renderer) -> None:
    plain = renderer.render(REST, look=SMALL, camera=CAMERA)
    white, half = np.full((4, 4, 3), 255, np.uint8), np.zeros((4, 4, 3), np.uint8)
    half[:, 2:] = 255
    material = (np.arange(len(AVATAR.positions)) % 2).astype(np.int32)

    def drawn(texture: np.ndarray) -> Tensor:
        skins = tuple(Material(name, (1.0, 1.0, 1.0), 0.6, texture) for name in "ab")
        return Renderer(replace(AVATAR, material=material, materials=skins)).render(REST, look=SMALL, camera=CAMERA)

    torch.testing.assert_close(drawn(white), plain, atol=1e-5, rtol=0)
    sides = drawn(half)[0].mean(0)[8:24]
    assert sides[:, 8:12].mean() < 0.5 * sides[:, 20:24].mean()


@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_camera_shows_the_whole_face(renderer: Renderer, framing: Framing) -> None:
    low, high = AVATAR.face_box
    camera = renderer.camera(framing)
    corners = np.array(
        [[x, y, z, 1.0] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    )
    clip = corners @ camera.matrix().T
    assert (np.abs(clip[:, :2] / clip[:, 3:]) < 1).all()


@pytest.mark.parametrize("name", builtin_avatars())
def test_a_face_fills_its_picture_and_the_open_mouth_stays_inside(name: str) -> None:
    avatar = load_avatar(name)
    renderer = Renderer(avatar)
    eyes, mouth = avatar.face_points[:2].mean(0), avatar.face_points[3:].mean(0)
    unit = (eyes[1] - mouth[1]) * np.array([0, 1, 0])
    ends = np.stack([eyes + HAIRLINE_ABOVE_EYES * unit, mouth - CHIN_BELOW_MOUTH * unit])
    camera = renderer.camera("face")
    top, chin = _rows(camera, ends)
    assert -0.85 < top < chin < 0.85
    assert chin - top > 2 * 0.55
    weights = avatar.control_weights(np.eye(len(ARKIT), dtype=np.float32)[[ARKIT.index("jawOpen")]])
    opened, _ = renderer.deform(torch.from_numpy(weights.astype(np.float32)))
    moved = np.abs(opened[0].numpy() - avatar.positions).max(1) > 0.002
    assert _rows(camera, opened[0].numpy()[moved]).max() < 0.98
    assert chin - top > 1.2 * np.ptp(_rows(renderer.camera("bust"), ends))


def test_a_face_without_landmarks_is_framed_where_faces_usually_lie() -> None:
    avatar = load_avatar("ines")
    marked, unmarked = (Renderer(a).camera() for a in (avatar, replace(avatar, landmarks=None)))
    assert unmarked.extent == pytest.approx(marked.extent, rel=0.1)
    assert unmarked.target == pytest.approx(marked.target, abs=0.02)


def _rows(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Where points ``(N, 3)`` lie in a picture, -1 at its top and 1 at its bottom."""
    clip = np.c_[points, np.ones(len(points))] @ camera.matrix().T
    return clip[:, 1] / clip[:, 3]


def test_without_a_background_the_picture_is_transparent(renderer: Renderer) -> None:
    look = replace(SMALL, background=((0.3, 0.3, 0.3), (0.3, 0.3, 0.3)), supersample=2)
    opaque = renderer.render(REST, look=look, camera=CAMERA)
    clear = renderer.render(REST, look=replace(look, background=None), camera=CAMERA)
    assert clear.shape == (1, 4, 32, 32)
    color, alpha = clear.split([3, 1], dim=1)
    assert alpha[0, 0, 0, 0] == 0 and alpha[0, 0, 16, 16] == 1 and ((alpha > 0.1) & (alpha < 0.9)).any()
    torch.testing.assert_close(color * alpha + 0.3 * (1 - alpha), opaque, atol=0.02, rtol=0)


def roofed(offset: float = 0.14) -> Avatar:
    """The ball, and a board between it and a light from above."""
    corners = np.array([(x, offset, z) for x in (-0.06, 0.06) for z in (-0.06, 0.06)], np.float32)
    count = len(AVATAR.positions)
    return replace(
        AVATAR,
        positions=np.concatenate([AVATAR.positions, corners]),
        triangles=np.concatenate([AVATAR.triangles, count + np.array([(0, 1, 2), (1, 2, 3)], np.int32)]),
        normals=np.concatenate([AVATAR.normals, np.tile(np.float32((0, 1, 0)), (4, 1))]),
        tangents=np.zeros((count + 4, 3), np.float32),
        uv=np.zeros((count + 4, 2), np.float32),
        colors=np.full((count + 4, 3), 0.5, np.float32),
        material=np.zeros(count + 4, np.int32),
        head_weight=np.ones(count + 4, np.float32),
        target_positions=np.zeros((2, count + 4, 3), np.float32),
        target_normals=np.zeros((2, count + 4, 3), np.float32),
    )


@pytest.mark.parametrize("is_fast", [False, True])
def test_the_key_light_casts_a_soft_shadow(is_fast: bool) -> None:
    above = (Light((0.0, 1.0, 0.02), (2.0, 2.0, 2.0)),)
    shadowed = Lighting(above, (0.1, 0.1, 0.1), (0.1, 0.1, 0.1), shadow=1.0)
    camera = Camera((0.0, 0.0, 0.0), 0.4, pitch=35)
    covered = Renderer(roofed())
    pictures = []
    for lighting in (shadowed, replace(shadowed, shadow=0.0)):
        look = Look((64, 64), lighting, ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), 2)
        if is_fast:
            pictures.append(covered.picture(np.zeros(2), look=look, camera=camera).astype(float).mean(2) / 255)
        else:
            pictures.append(covered.render(REST, look=look, camera=camera)[0].mean(0).numpy())
    shaded, bare = pictures
    ratio = shaded[bare > 0.2] / bare[bare > 0.2]
    assert ratio.max() < 1.01
    assert (ratio < 0.5).sum() > 30, "a core of the shadow"
    assert ((ratio > 0.5) & (ratio < 0.95)).sum() > 15, "a soft edge"
    assert (ratio > 0.99).mean() > 0.3, "the rest is lit, without acne"
