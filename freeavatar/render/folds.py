"""Wrinkles on shaded points: the normal tilts with the slope of the folds, and furrows are darker.

``compiled/wrinkles.py`` holds the same formulas for numba: a change here is a change there, and a test compares them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from freeavatar.avatars.avatar import Avatar

CAVITY_DEPTH = 0.0006
"""Metres of a furrow that is as dark as they get."""
CAVITY_COLOR = (0.34, 0.46, 0.50)
"""How much of each primary such a furrow swallows: light that comes out of a fold went through skin, and is red."""


def fold_frames(avatar: Avatar) -> tuple[np.ndarray, np.ndarray]:
    """How texture coordinates grow over the skin at rest.

    Returns:
        The surface gradient of u, ``(V, 3)`` float32 per metre, and ``(V, 2)`` float32: the gradient of v is the first
        of these times that of u, and the second times what is at right angles to it (normal x gradient of u). The
        avatar's tangents and zeros where nothing folds.
    """
    tangents, skew = avatar.tangents.copy(), np.zeros((len(avatar.positions), 2), np.float32)
    if avatar.wrinkles is None:
        return tangents, skew
    folds = np.isin(avatar.material, avatar.wrinkles.materials)
    faces = avatar.triangles[folds[avatar.triangles].all(1)]
    p, t = avatar.positions[faces].astype(np.float64), avatar.uv[faces].astype(np.float64)
    (e1, e2), (d1, d2) = ((x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]) for x in (p, t))
    normal = np.cross(e1, e2)
    square = np.maximum((normal * normal).sum(1, keepdims=True), 1e-24)
    area = np.sqrt(square)
    total = np.zeros((2, len(avatar.positions), 3))
    weight = np.zeros((len(avatar.positions), 1))
    # The dual basis of the edges: a function with differences d1, d2 along them has this gradient.
    first, second = np.cross(e2, normal) / square, np.cross(normal, e1) / square
    for k in range(3):
        np.add.at(weight, faces[:, k], area)
        for axis in range(2):
            np.add.at(total[axis], faces[:, k], area * (first * d1[:, axis, None] + second * d2[:, axis, None]))
    u, v = (gradient / np.maximum(weight, 1e-18) for gradient in total)
    u -= avatar.normals * (avatar.normals * u).sum(1, keepdims=True)
    length = np.maximum((u * u).sum(1), 1e-9)
    across = np.cross(avatar.normals, u)
    tangents[folds] = u[folds]
    skew[folds] = np.stack([(v * u).sum(1), (v * across).sum(1)], axis=1)[folds] / length[folds, None]
    return tangents, skew


def amounts(avatar: Avatar, weights: Tensor) -> Tensor:
    """Weights of the layers, ``(N, L)``, for weights of the controls ``(N, K)``."""
    layers = avatar.wrinkles.layers if avatar.wrinkles else ()
    by_name = dict(zip(avatar.target_names, weights.unbind(1), strict=True))
    columns = [layer.weight(by_name) + weights.new_zeros(len(weights)) for layer in layers]
    return torch.stack(columns, dim=1).clamp(0, 1) if columns else weights.new_zeros(len(weights), 0)


class Folds:
    """An avatar's wrinkles on a device."""

    def __init__(self, avatar: Avatar, device: torch.device) -> None:
        wrinkles = avatar.wrinkles
        self._layers = [] if wrinkles is None else [
            (layer.box, torch.from_numpy(layer.heights).permute(2, 0, 1)[None].to(device)) for layer in wrinkles.layers
        ]  # fmt: skip
        chosen = np.isin(np.arange(len(avatar.materials)), () if wrinkles is None else wrinkles.materials)
        self.is_folding = torch.from_numpy(chosen).to(device)
        """Whether each material folds, ``(M,)``."""

    def apply(
        self, layers: Tensor, picture: Tensor, uv: Tensor, frame: Sequence[Tensor], albedo: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Fold skin.

        Args:
            layers: weights, ``(N, L)``.
            picture: which row of them each point follows, ``(P,)``.
            uv: ``(P, 2)``.
            frame: normals ``(P, 3)``, and ``(P, 3)`` and ``(P, 2)`` of :func:`fold_frames`.
            albedo: ``(P, 3)``.

        Returns:
            Normals and albedo, ``(P, 3)`` each.
        """
        relief = self._relief(layers, picture, uv)
        normal, gradient, skew = frame
        normal = normalize(normal, dim=1)
        across = torch.linalg.cross(normal, gradient)
        height, along_u, along_v = relief.split(1, dim=1)
        slope = (along_u + skew[:, :1] * along_v) * gradient + skew[:, 1:] * along_v * across
        slope = slope - normal * (normal * slope).sum(1, keepdim=True)
        dark = (-height / CAVITY_DEPTH).clamp(0, 1)
        return normal - slope, albedo * (1 - dark * albedo.new_tensor(CAVITY_COLOR))

    def _relief(self, layers: Tensor, picture: Tensor, uv: Tensor) -> Tensor:
        """Height in metres and its growth along u and v, ``(P, 3)``, of all layers together."""
        relief = uv.new_zeros(len(uv), 3)
        for column, ((u0, v0, u1, v1), texels) in zip(layers.unbind(1), self._layers, strict=True):
            if not (column.requires_grad or column.any()):
                continue
            local = (uv - uv.new_tensor((u0, v0))) / uv.new_tensor((u1 - u0, v1 - v0))
            inside = ((local >= 0) & (local <= 1)).all(1).nonzero()[:, 0]
            grid = (2 * local[inside] - 1)[None, None]
            found = grid_sample(texels, grid, padding_mode="border", align_corners=False)[0, :, 0].mT
            relief = relief.index_add(0, inside, column[picture[inside], None] * found)
        return relief
