"""Primitives: gradients against finite differences, antialiasing against areas, topology by hand, contexts."""

import logging
import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from freeavatar.render.compiled import cpu
from freeavatar.render.differentiable import ops

SIZE = 16
CONTEXT = ops.make_context()
QUAD = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)


def clip(pixels: object, w: object = 1.0) -> Tensor:
    """Clip positions ``(1, V, 4)`` float64 of points given in pixels."""
    xy = np.asarray(pixels, float) / (SIZE / 2) - 1
    flat = np.concatenate([xy, np.full((len(xy), 1), 0.25), np.ones((len(xy), 1))], axis=1)
    return torch.tensor(flat * np.broadcast_to(w, (len(xy),))[:, None])[None]


def left_of(top: float, bottom: float, *, turn: bool = False, mirror: bool = False) -> Tensor:
    """A quad that fills the image left of a line from ``(top, -16)`` to ``(bottom, 32)``, in pixels.

    ``turn`` swaps x and y, ``mirror`` fills the other side.
    """
    far = 90 if mirror else -90
    points = np.array([(far, -16), (top, -16), (bottom, 32), (far, 32)], float)
    return clip(points[:, ::-1] if turn else points)


def picture(pos: Tensor, tri: Tensor = QUAD, color: Tensor | None = None) -> Tensor:
    """The surface in white (or ``color``) on black, antialiased, ``(H, W)``."""
    rast, _ = ops.rasterize(CONTEXT, pos, tri, (SIZE, SIZE))
    image = (rast[..., 3:] > 0).to(pos) if color is None else color
    return ops.antialias(image, rast, pos, tri, ops.antialias_construct_topology_hash(tri))[0, ..., 0]


def mesh(seed: int) -> tuple[Tensor, Tensor]:
    """A tetrahedron with perspective, ``(1, 4, 4)`` float64, and its triangles."""
    rng = np.random.default_rng(seed)
    points = np.array([(2.3, 3.1), (13.4, 4.6), (6.2, 14.1), (7.7, 6.9)]) + rng.uniform(-1, 1, (4, 2))
    pos = clip(points, w=rng.uniform(0.8, 2.0, 4))
    pos[0, 3, 2] = -0.2
    return pos, torch.tensor([[0, 1, 3], [1, 2, 3], [2, 0, 3], [0, 2, 1]], dtype=torch.int32)


def test_interpolate_gradients() -> None:
    pos, tri = mesh(0)
    rast, _ = ops.rasterize(CONTEXT, pos, tri, (8, 8))
    attr = torch.rand(1, 4, 3, dtype=torch.float64, generator=torch.manual_seed(0)).requires_grad_()
    uv = rast[..., :2].clone().requires_grad_()

    def values(attr: Tensor, uv: Tensor) -> Tensor:
        return ops.interpolate(attr, torch.cat([uv, rast[..., 2:]], dim=-1), tri)[0]

    assert gradcheck(values, (attr, uv))


def test_interpolate_is_the_weighted_sum_of_the_corners() -> None:
    pos, tri = mesh(1)
    rast, _ = ops.rasterize(CONTEXT, pos, tri, (SIZE, SIZE))
    depth, derivatives = ops.interpolate(pos, rast, tri)
    assert derivatives.shape == (1, SIZE, SIZE, 0)
    covered = rast[..., 3] > 0
    assert not depth[~covered].any()
    y, x = torch.nonzero(covered[0])[7].tolist()
    u, v, _, index = rast[0, y, x].tolist()
    a, b, c = pos[0][tri[int(index) - 1].long()]
    torch.testing.assert_close(depth[0, y, x], u * a + v * b + (1 - u - v) * c)
    # The interpolated clip position projects onto the pixel's centre: the weights respect perspective.
    projected = (depth[0, y, x, :2] / depth[0, y, x, 3] + 1) * SIZE / 2
    torch.testing.assert_close(projected, torch.tensor([x + 0.5, y + 0.5], dtype=torch.float64))


def test_attributes_are_shared_by_a_batch_and_their_gradients_added() -> None:
    poses, tri = torch.cat([mesh(2)[0], mesh(3)[0]]), mesh(2)[1]
    rast, _ = ops.rasterize(CONTEXT, poses, tri, (SIZE, SIZE))
    attr = torch.rand(1, 4, 2, dtype=torch.float64).requires_grad_()
    shared, _ = ops.interpolate(attr, rast, tri)
    single = torch.cat([ops.interpolate(attr, r[None], tri)[0] for r in rast])
    assert torch.equal(shared, single)
    torch.testing.assert_close(*(torch.autograd.grad((o**2).sum(), attr)[0] for o in (shared, single)))


@pytest.mark.parametrize("seed", range(4))
def test_rasterize_gradients(seed: int) -> None:
    pos, tri = mesh(seed)
    with torch.no_grad():
        rast, _ = ops.rasterize(CONTEXT, pos, tri, (SIZE, SIZE))
    u, v, index = rast[..., 0], rast[..., 1], rast[..., 3]
    inner = (index > 0) & (torch.stack([u, v, 1 - u - v]).amin(0) > 0.03)
    assert len(index[inner].unique()) >= 3

    def weights(pos: Tensor) -> Tensor:
        return ops.rasterize(CONTEXT, pos, tri, (SIZE, SIZE))[0][..., :2][inner]

    assert gradcheck(weights, pos.requires_grad_())


def test_texture_gradients_and_wrapping() -> None:
    generator = torch.manual_seed(0)
    tex = torch.rand(1, 3, 5, 2, dtype=torch.float64, generator=generator).requires_grad_()
    uv = (torch.rand(2, 3, 4, 2, dtype=torch.float64, generator=generator) * 3 - 1).requires_grad_()
    assert gradcheck(ops.texture, (tex, uv))
    torch.testing.assert_close(ops.texture(tex, uv), ops.texture(tex, uv + torch.tensor([2.0, -3.0])))


def test_texture_known_values() -> None:
    tex = torch.tensor([[[0.0], [1.0]], [[2.0], [3.0]]])[None]
    uv = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.0, 0.25]])[None, None]
    assert ops.texture(tex, uv).flatten().tolist() == [0, 1, 2, 1.5, 0.5]
    assert ops.texture(tex, torch.zeros(1, 1, 0, 2)).shape == (1, 1, 0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_antialias_gradients(seed: int) -> None:
    """Of colours and positions, with the coverage held."""
    pos, tri = mesh(seed)
    rast, _ = ops.rasterize(CONTEXT, pos, tri, (SIZE, SIZE))
    topology = ops.antialias_construct_topology_hash(tri)
    color = torch.rand(1, SIZE, SIZE, 2, dtype=torch.float64, generator=torch.manual_seed(seed))
    assert (ops.antialias(color, rast, pos, tri, topology) != color).sum() > 20
    assert gradcheck(
        lambda color, pos: ops.antialias(color, rast, pos, tri, topology),
        (color.requires_grad_(), pos.requires_grad_()),
    )


EDGES = [(5.3, 5.3), (5.3, 9.1), (12.2, 2.7), (-13.7, 31.3), (31.2, -13.8)]


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("edge", EDGES)
def test_moving_an_edge_changes_the_picture_by_its_gradient(edge: tuple[float, float], turn: bool) -> None:
    """Upright, slanted and (nearly) diagonal; the coverage changes along."""
    pos = left_of(*edge, turn=turn).requires_grad_()
    (gradient,) = torch.autograd.grad(picture(pos).sum(), pos)
    for vertex in (1, 2):
        for part in (0, 1, 3):
            step = torch.zeros_like(pos)
            step[0, vertex, part] = 1e-4
            with torch.no_grad():
                change = (picture(pos + step).sum() - picture(pos - step).sum()) / 2e-4
            assert gradient[0, vertex, part].item() == pytest.approx(change.item(), rel=2e-2, abs=1e-3)
    assert gradient.abs().max() > 1
    assert not gradient[..., 2].any()


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 0.498, 0.4995, 0.5, 0.5005, 0.502, 0.7, 0.99])
def test_an_upright_edge_leaves_its_fraction_of_the_pixel(fraction: float, mirror: bool, turn: bool) -> None:
    image = picture(left_of(6 + fraction, 6 + fraction, turn=turn, mirror=mirror))
    image = image.T if turn else image
    expected = torch.zeros(SIZE, dtype=torch.float64)
    expected[:6], expected[6] = 1, fraction
    expected = 1 - expected if mirror else expected
    torch.testing.assert_close(image, expected.expand(SIZE, SIZE), atol=1e-3, rtol=0)


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("edge", [*EDGES, (-16.25, 31.75), (-16.0, 32.0)])
def test_a_slanted_edge_leaves_about_the_covered_area(edge: tuple[float, float], turn: bool) -> None:
    image = picture(left_of(*edge, turn=turn))
    image = image.T if turn else image
    at = (np.arange(SIZE * 32) + 0.5) / 32
    line = edge[0] + (at + 16) / 48 * (edge[1] - edge[0])
    area = (at[None, :] < line[:, None]).reshape(SIZE, 32, SIZE, 32).mean((1, 3))
    inner = slice(1, -1)  # what a pixel at the border shares with one outside is not known
    assert np.abs(image.numpy() - area)[inner, inner].max() < 0.15
    assert image[inner, inner].sum().item() == pytest.approx(area[inner, inner].sum(), rel=0.01)


def test_antialias_changes_nothing_inside_a_surface() -> None:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(-2, 19, 4.0), np.arange(-2, 19, 4.0)), axis=-1)
    grid[1:-1, 1:-1] += rng.uniform(-1.2, 1.2, grid[1:-1, 1:-1].shape)
    index = np.arange(36).reshape(6, 6)
    a, b, c, d = (x.ravel() for x in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    tri = torch.tensor(np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]), dtype=torch.int32)
    color = torch.rand(1, SIZE, SIZE, 1, dtype=torch.float64)
    assert torch.equal(picture(clip(grid.reshape(-1, 2)), tri, color), color[0, ..., 0])


def test_antialias_changes_nothing_without_a_surface() -> None:
    color = torch.rand(1, SIZE, SIZE, 1, dtype=torch.float64)
    off = clip([(20, 2), (30, 2), (20, 9)])
    assert torch.equal(picture(off, QUAD[:1], color), color[0, ..., 0])
    assert torch.equal(picture(off, QUAD[:0], color), color[0, ..., 0])


@pytest.mark.parametrize("partner", [(2, 8, 1.0), (20, 8, -1.0)], ids=["folded back", "behind the camera"])
def test_a_shared_edge_is_a_silhouette_if_nothing_shows_across_it(partner: tuple[float, float, float]) -> None:
    pos = clip([(8.25, -20), (8.25, 40), (-60, 8), partner[:2]], w=[1, 1, 1, partner[2]])
    tri = torch.tensor([[0, 1, 2], [1, 0, 3]], dtype=torch.int32)
    torch.testing.assert_close(picture(pos, tri)[6:10, 8], torch.full((4,), 0.25, dtype=torch.float64))


def test_topology_by_hand() -> None:
    tri = torch.tensor([[0, 1, 2], [2, 1, 3]], dtype=torch.int32)
    assert ops.antialias_construct_topology_hash(tri).tolist() == [[-1, 3, -1], [0, -1, -1]]
    tetrahedron = mesh(0)[1]
    assert ops.antialias_construct_topology_hash(tetrahedron).tolist() == [[2, 2, 2], [0, 0, 0], [1, 1, 1], [3, 3, 3]]
    assert ops.antialias_construct_topology_hash(tri[:0]).shape == (0, 3)


def test_topology_looks_past_collapsed_triangles() -> None:
    tri = torch.tensor([[0, 1, 2], [1, 2, 2], [2, 1, 3]], dtype=torch.int32)
    assert ops.antialias_construct_topology_hash(tri)[[0, 2]].tolist() == [[-1, 3, -1], [0, -1, -1]]


def test_kernels_never_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenMP is missing numba ends the process if two threads enter parallel code at once."""
    running, most = [], []

    def slow(*_: object) -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.01)
        running.pop()

    for name in ("weigh_corners", "interpolate", "texture", "antialias"):
        monkeypatch.setattr(cpu, name, slow)
    pos, tri = mesh(0)

    def draw() -> None:
        rast, _ = ops.rasterize(CONTEXT, pos, tri, (4, 4))
        ops.interpolate(pos, rast, tri)
        ops.texture(torch.zeros(1, 2, 2, 1), torch.zeros(1, 1, 1, 2))
        ops.antialias(rast, rast, pos, tri, tri)

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 16 and max(most) == 1


def failing(error: Exception) -> ModuleType:
    def context(device: object) -> None:
        raise error

    module = ModuleType("nvdiffrast.torch")
    module.RasterizeCudaContext = context  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    "module",
    [None, failing(RuntimeError("no driver")), failing(AssertionError("not compiled with CUDA")), failing(OSError())],
    ids=["absent", "no driver", "torch without CUDA", "no compiler"],
)
def test_cuda_that_cannot_serve_warns_once(
    module: ModuleType | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ops, "_nvdiffrast", None)
    monkeypatch.setitem(sys.modules, "nvdiffrast", ModuleType("nvdiffrast") if module else None)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", module)
    with caplog.at_level(logging.WARNING):
        contexts = [ops.make_context("cuda") for _ in range(3)]
    assert len(caplog.records) == 1 and "CPU" in caplog.text
    assert all(ops.render_device(context, "cuda:1") == torch.device("cpu") for context in contexts)
    pos, tri = mesh(0)
    assert ops.rasterize(contexts[0], pos, tri, (4, 4))[0].shape == (1, 4, 4, 4)


def test_cuda_that_serves_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("nvdiffrast.torch")
    module.RasterizeCudaContext = lambda device: SimpleNamespace(device=device)  # type: ignore[attr-defined]
    module.rasterize = lambda *arguments: arguments  # type: ignore[attr-defined]
    monkeypatch.setattr(ops, "_nvdiffrast", None)
    monkeypatch.setitem(sys.modules, "nvdiffrast", ModuleType("nvdiffrast"))
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", module)
    context = ops.make_context("cuda")
    assert ops.render_device(context) == torch.device("cuda")
    assert ops.render_device(context, "cuda:1") == torch.device("cuda:1")
    assert ops.rasterize(context, *mesh(0), (4, 4))[0] is context
