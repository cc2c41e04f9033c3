"""Wrinkles in torch.

``compiled/wrinkles.py`` holds the same formulas for numba: a change here is a change there, and a test compares them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from freeavatar.avatars.avatar import Avatar
from freeavatar.render.folds import CAVITY_COLOR, CAVITY_DEPTH


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
            frame: normals ``(P, 3)``, and ``(P, 3)`` and ``(P, 2)`` of :func:`freeavatar.render.folds.fold_frames`.
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
