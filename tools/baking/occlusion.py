"""Ambient occlusion at the vertices: how much of the sky each one sees."""

import numpy as np
import torch

from freeavatar.render.differentiable import ops

DIRECTIONS = 96
SIZE = 384
BIAS = 0.0025
"""Metres by which a vertex may lie behind the surface seen and still count as seen."""


def ambient_occlusion(positions: np.ndarray, normals: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Cosine-weighted share of directions in which nothing lies in front of a vertex.

    Args:
        positions: ``(V, 3)`` metres.
        normals: unit, ``(V, 3)``.
        triangles: ``(T, 3)``.

    Returns:
        ``(V,)`` in [0, 1]; 1 is open sky.
    """
    k = np.arange(DIRECTIONS) + 0.5
    polar, turn = np.arccos(1 - 2 * k / DIRECTIONS), np.pi * (1 + 5**0.5) * k
    sky = np.stack([np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], axis=1)
    centre = (positions.min(0) + positions.max(0)) / 2
    radius = np.linalg.norm(positions - centre, axis=1).max() * 1.01
    context, tri = ops.make_context(), torch.from_numpy(triangles.astype(np.int32))
    seen, total = np.zeros(len(positions)), np.full(len(positions), 1e-6)
    for direction in sky:
        side = np.cross(direction, [0.3, 0.9, 0.1])
        side /= np.linalg.norm(side)
        axes = np.stack([side, np.cross(direction, side), -direction])
        local = (positions - centre) @ axes.T / radius
        clip = np.concatenate([local, np.ones((len(local), 1))], axis=1)
        depth = ops.rasterize(context, torch.from_numpy(clip)[None], tri, (SIZE, SIZE))[0][0]
        front = np.where(depth[..., 3] > 0, depth[..., 2], 2.0)
        x, y = np.clip(((local[:, :2] + 1) / 2 * SIZE).astype(int), 0, SIZE - 1).T
        weight = np.clip(normals @ direction, 0, None)
        seen += weight * (local[:, 2] <= front[y, x] + BIAS / radius)
        total += weight
    return seen / total
