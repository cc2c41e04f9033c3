"""nvdiffrast's primitives by their own signatures: on CUDA its kernels, elsewhere numba's.

``rasterize``, ``interpolate``, ``texture`` and ``antialias`` take and return what nvdiffrast's
functions of the same name do; :func:`make_context` decides which implementation serves.
The PyPI build ``diffrp-nvdiffrast`` is opt-in: it is for non-commercial use and compiles at first use.
"""

import importlib
import logging
import threading
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from freeavatar.render.compiled import cpu
from freeavatar.render.compiled.raster import Raster
from freeavatar.render.compiled.visibility import canonical_order

logger = logging.getLogger(__name__)

_nvdiffrast: ModuleType | None = None


_parallel = threading.Lock()
"""Held while a parallel kernel runs: without OpenMP numba ends the process if two threads start one."""


class CpuContext:
    """Stands where nvdiffrast's ``RasterizeCudaContext`` does, and keeps what the next picture of a mesh needs."""

    def __init__(self) -> None:
        self._triangles: tuple[Tensor | None, int] = (None, 0)
        self._order, self._sorted = np.zeros(0, np.int64), np.zeros((0, 3), np.int32)
        self._raster: Raster | None = None

    def rasterize(self, pos: np.ndarray, tri: Tensor, rast: np.ndarray) -> None:
        """Fill ``rast`` ``(H, W, 4)`` from ``pos`` ``(V, 4)`` and ``tri`` ``(T, 3)``."""
        height, width = rast.shape[:2]
        if self._triangles[0] is not tri or self._triangles[1] != tri._version:
            self._triangles, self._raster = (tri, tri._version), None
            self._order = canonical_order(_array(tri))
            self._sorted = np.ascontiguousarray(_array(tri)[self._order], np.int32)
        if self._raster is None or self._raster.shape != (height, width) or len(self._raster.xy) != len(pos):
            self._raster = Raster(len(pos), self._sorted, height, width)
        self._raster.snap(pos)
        self._raster.bin()
        self._raster.fill()
        cpu.weigh_corners(pos, self._sorted, self._order, self._raster.ids, self._raster.plane, width, rast)


def make_context(device: torch.device | str = "cpu") -> Any:
    """Context for :func:`rasterize` on ``device``; warns once and serves the CPU if CUDA cannot."""
    global _nvdiffrast
    if torch.device(device).type == "cuda" and _nvdiffrast is not cpu:
        try:
            _nvdiffrast = importlib.import_module("nvdiffrast.torch")
            return _nvdiffrast.RasterizeCudaContext(device=device)
        except (ImportError, OSError, RuntimeError, AssertionError) as error:
            _nvdiffrast = cpu
            logger.warning("nvdiffrast cannot serve (%s): avatars are rendered on the CPU.", error)
    return CpuContext()


def render_device(context: Any, device: torch.device | str = "cuda") -> torch.device:
    """Where tensors for ``context`` must lie: on the ``device`` it was asked for, or the CPU that serves instead."""
    return torch.device("cpu" if isinstance(context, CpuContext) else device)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _float_type(tensor: Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, context, pos, tri, height, width):
        rast = torch.empty(pos.shape[0], height, width, 4, dtype=_float_type(pos))
        for p, r in zip(_array(pos), rast.numpy(), strict=True):
            with _parallel:
                context.rasterize(p, tri, r)
        ctx.save_for_backward(pos, tri, rast)
        return rast

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        pos, tri, rast = ctx.saved_tensors
        grad_pos = torch.zeros_like(pos)
        for p, r, g, out in zip(_array(pos), _array(rast), _array(grad), grad_pos.numpy(), strict=True):
            cpu.rasterize_backward(p, _array(tri), r, g, out)
        return None, grad_pos, None, None, None


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, attr, rast, tri):
        ctx.save_for_backward(attr, rast, tri)
        out = torch.empty(*rast.shape[:3], attr.shape[-1], dtype=attr.dtype)
        attrs = attr.expand(rast.shape[0], -1, -1)
        for a, r, o in zip(_array(attrs), _array(rast), out.numpy(), strict=True):
            with _parallel:
                cpu.interpolate(a, r, _array(tri), o)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        attr, rast, tri = ctx.saved_tensors
        attrs = attr.expand(rast.shape[0], -1, -1)
        grad_attr = torch.zeros(attrs.shape, dtype=attr.dtype)
        grad_rast = torch.zeros_like(rast)
        rows = zip(_array(attrs), _array(rast), _array(grad), grad_attr.numpy(), grad_rast.numpy(), strict=True)
        for a, r, g, ga, gr in rows:
            cpu.interpolate_backward(a, r, _array(tri), g, ga, gr)
        return grad_attr.sum_to_size(attr.shape), grad_rast, None


class _Texture(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tex, uv):
        ctx.save_for_backward(tex, uv)
        out = torch.empty(*uv.shape[:3], tex.shape[-1], dtype=tex.dtype)
        textures = tex.expand(uv.shape[0], -1, -1, -1)
        for t, c, o in zip(_array(textures), _array(uv), out.numpy(), strict=True):
            with _parallel:
                cpu.texture(t, c.reshape(-1, 2), o.reshape(-1, tex.shape[-1]))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        tex, uv = ctx.saved_tensors
        textures = tex.expand(uv.shape[0], -1, -1, -1)
        grad_tex = torch.zeros(textures.shape, dtype=tex.dtype)
        grad_uv = torch.zeros_like(uv, memory_format=torch.contiguous_format)
        channels = tex.shape[-1]
        rows = zip(_array(textures), _array(uv), _array(grad), grad_tex.numpy(), grad_uv.numpy(), strict=True)
        for t, c, g, gt, gu in rows:
            cpu.texture_backward(t, c.reshape(-1, 2), g.reshape(-1, channels), gt, gu.reshape(-1, 2))
        return grad_tex.sum_to_size(tex.shape), grad_uv


class _Antialias(torch.autograd.Function):
    @staticmethod
    def forward(ctx, color, rast, pos, tri, opposite):
        ctx.save_for_backward(color, rast, pos, tri, opposite)
        out = torch.empty_like(color, memory_format=torch.contiguous_format)
        for c, r, p, o in zip(_array(color), _array(rast), _array(pos), out.numpy(), strict=True):
            with _parallel:
                cpu.antialias(c, r, p, _array(tri), _array(opposite), o)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        color, rast, pos, tri, opposite = ctx.saved_tensors
        grad_color, grad_pos = torch.zeros_like(color), torch.zeros_like(pos)
        rows = zip(
            _array(color), _array(rast), _array(pos), _array(grad), grad_color.numpy(), grad_pos.numpy(), strict=True
        )
        for c, r, p, g, gc, gp in rows:
            cpu.antialias_backward(c, r, p, _array(tri), _array(opposite), g, gc, gp)
        return grad_color, None, grad_pos, None, None


def rasterize(glctx: Any, pos: Tensor, tri: Tensor, resolution: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Rasterise triangles.

    Args:
        glctx: from :func:`make_context`.
        pos: clip-space positions, ``(N, V, 4)``.
        tri: vertex indices, ``(T, 3)`` int32.
        resolution: ``(H, W)``.

    Returns:
        ``(N, H, W, 4)``: u, v, z/w, triangle index + 1 (0 where empty); and the pixel
        derivatives of u and v, ``(N, H, W, 4)`` from nvdiffrast, empty ``(N, H, W, 0)`` on the CPU.
    """
    if not isinstance(glctx, CpuContext):
        return _nvdiffrast.rasterize(glctx, pos, tri, resolution)  # type: ignore[union-attr]
    rast = _Rasterize.apply(glctx, pos, tri, *resolution)
    return rast, rast.new_empty(*rast.shape[:3], 0)


def interpolate(attr: Tensor, rast: Tensor, tri: Tensor) -> tuple[Tensor, Tensor]:
    """Interpolate vertex attributes ``(1 or N, V, C)`` at the pixels of ``rast``: ``(N, H, W, C)``."""
    if rast.is_cuda:
        return _nvdiffrast.interpolate(attr, rast, tri)  # type: ignore[union-attr]
    out = _Interpolate.apply(attr, rast, tri)
    return out, out.new_empty(*out.shape[:3], 0)


def texture(tex: Tensor, uv: Tensor) -> Tensor:
    """Look up ``tex`` ``(1 or N, h, w, C)`` at ``uv`` ``(N, H, W, 2)``, bilinear, wrapping."""
    if uv.is_cuda:
        return _nvdiffrast.texture(tex, uv, filter_mode="linear")  # type: ignore[union-attr]
    return _Texture.apply(tex, uv)


def antialias_construct_topology_hash(tri: Tensor) -> Tensor:
    """What :func:`antialias` needs to know of a mesh: on the CPU the vertex across each edge, ``(T, 3)``.

    Edge k of a triangle runs from its vertex k to the next; -1 where no other triangle shares it.
    """
    if tri.is_cuda:
        return _nvdiffrast.antialias_construct_topology_hash(tri)  # type: ignore[union-attr]
    triangles = _array(tri).astype(np.int64)
    start, end, across = (np.roll(triangles, -k, axis=1).ravel() for k in range(3))
    key = np.minimum(start, end) * (triangles.max(initial=0) + 1) + np.maximum(start, end)
    collapsed = np.repeat((triangles == np.roll(triangles, -1, axis=1)).any(axis=1), 3)
    key[collapsed] = -1 - np.flatnonzero(collapsed)
    order = np.argsort(key, kind="stable")
    pair = np.flatnonzero(key[order][:-1] == key[order][1:])
    opposite = np.full(len(key), -1, np.int32)
    opposite[order[pair]] = across[order[pair + 1]]
    opposite[order[pair + 1]] = across[order[pair]]
    return torch.from_numpy(opposite.reshape(-1, 3))


def antialias(color: Tensor, rast: Tensor, pos: Tensor, tri: Tensor, topology_hash: Tensor) -> Tensor:
    """Blend ``color`` ``(N, H, W, C)`` across the silhouette edges of the mesh."""
    if color.is_cuda:
        return _nvdiffrast.antialias(color, rast, pos, tri, topology_hash)  # type: ignore[union-attr]
    return _Antialias.apply(color, rast, pos, tri, topology_hash)
