"""Posing a mesh on the CPU: sparse morph targets, head joint, projection. Numba, one pass over the vertices."""

from typing import NamedTuple

import numpy as np
from numba import njit

from freeavatar.avatars.avatar import Avatar
from freeavatar.render.compiled.kernels import BARE, FARTHEST, INLINE, NEAREST, OUTSIDE, ROW, SUBPIXELS

BLOCK = 512
"""Vertices posed at a time: they stay near the core while target after target moves them."""


class SparseTargets(NamedTuple):
    """What each morph target moves, and nothing else; rows of a target are in the order of vertices."""

    vertex: np.ndarray
    """``(R,)`` int32."""
    change: np.ndarray
    """Of position and normal, ``(R, 6)`` float32."""
    starts: np.ndarray
    """First row of each block of vertices in each target, ``(K, blocks + 1)`` int64."""


def sparse_targets(avatar: Avatar) -> SparseTargets:
    """Compact the avatar's targets."""
    edges = np.arange(0, len(avatar.positions) + BLOCK, BLOCK)
    vertices, changes, starts, row = [], [], [], 0
    for moved, tilted in zip(avatar.target_positions, avatar.target_normals, strict=True):
        found = np.flatnonzero(moved.any(1) | tilted.any(1))
        vertices.append(found.astype(np.int32))
        changes.append(np.concatenate([moved[found], tilted[found]], axis=1).astype(np.float32))
        starts.append(row + np.searchsorted(found, edges))
        row += len(found)
    if not vertices:
        return SparseTargets(np.zeros(0, np.int32), np.zeros((0, 6), np.float32), np.zeros((0, len(edges)), np.int64))
    return SparseTargets(np.concatenate(vertices), np.concatenate(changes), np.stack(starts).astype(np.int64))


@njit(**BARE)
def pose(rest, targets, weights, head_weight, pivot, turn, posed):
    """Fill ``posed`` ``(V, ROW)`` with vertices that follow targets and head.

    Args:
        rest: the same at rest, float32.
        targets: a :class:`SparseTargets`.
        weights: of all targets, ``(K,)`` float32.
        head_weight: ``(V,)``.
        pivot: ``(3,)``.
        turn: rotation of the head, ``(3, 3)`` float32.
        posed: written.
    """
    vertex, change, starts = targets.vertex, targets.change, targets.starts
    count = rest.shape[0]
    for block in range(starts.shape[1] - 1):
        low, high = block * BLOCK, min(block * BLOCK + BLOCK, count)
        for i in range(low, high):
            for k in range(ROW):
                posed[i, k] = rest[i, k]
        for target in range(weights.shape[0]):
            weight = weights[target]
            if weight != 0:
                for row in range(starts[target, block], starts[target, block + 1]):
                    i = vertex[row]
                    for k in range(6):
                        posed[i, k] += weight * change[row, k]
        for i in range(low, high):
            _turn(posed, i, head_weight[i], pivot, turn)
            length = np.sqrt(posed[i, 3] ** 2 + posed[i, 4] ** 2 + posed[i, 5] ** 2)
            scale = np.float32(1) / max(length, np.float32(1e-12))
            for k in range(3, 6):
                posed[i, k] *= scale


@njit(**INLINE)
def _turn(posed, i, weight, pivot, turn):
    if weight == 0:
        return
    for part in range(3):
        x, y, z = posed[i, 3 * part], posed[i, 3 * part + 1], posed[i, 3 * part + 2]
        ox, oy, oz = (pivot[0], pivot[1], pivot[2]) if part == 0 else (np.float32(0), np.float32(0), np.float32(0))
        dx, dy, dz = x - ox, y - oy, z - oz
        posed[i, 3 * part] += weight * (turn[0, 0] * dx + turn[0, 1] * dy + turn[0, 2] * dz + ox - x)
        posed[i, 3 * part + 1] += weight * (turn[1, 0] * dx + turn[1, 1] * dy + turn[1, 2] * dz + oy - y)
        posed[i, 3 * part + 2] += weight * (turn[2, 0] * dx + turn[2, 1] * dy + turn[2, 2] * dz + oz - z)


@njit(**BARE)
def project(posed, matrix, clip):
    """Fill ``clip`` ``(V, 4)`` with ``posed`` ``(V, ROW)`` as seen through ``matrix`` ``(4, 4)``, all float32."""
    for i in range(posed.shape[0]):
        x, y, z = posed[i, 0], posed[i, 1], posed[i, 2]
        for k in range(4):
            clip[i, k] = matrix[k, 0] * x + matrix[k, 1] * y + matrix[k, 2] * z + matrix[k, 3]


@njit(**BARE)
def snap(clip, height, width, xy, depth):
    """Put clip positions ``(V, 4)`` on the raster.

    Args:
        clip: float32.
        height: of the raster in samples.
        width: of the raster in samples.
        xy: written, in parts of ``1 / SUBPIXELS``, ``(V, 2)`` int32; x is ``OUTSIDE`` where it cannot be drawn.
        depth: written, z / w, ``(V,)`` float64.
    """
    half = 0.5 * SUBPIXELS
    for i in range(clip.shape[0]):
        w = np.float64(clip[i, 3])
        x = (clip[i, 0] / w + 1.0) * width * half
        y = (clip[i, 1] / w + 1.0) * height * half
        if w > NEAREST and abs(x) < FARTHEST and abs(y) < FARTHEST:
            xy[i, 0], xy[i, 1] = np.int32(np.floor(x + 0.5)), np.int32(np.floor(y + 0.5))
            depth[i] = clip[i, 2] / w
        else:
            xy[i, 0], depth[i] = OUTSIDE, np.inf
