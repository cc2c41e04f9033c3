"""Where each part of a head lies in its one texture, and which point of the face each texel shows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from freeavatar.render.differentiable import ops

if TYPE_CHECKING:
    from tools.baking.source import HeadSource

PARTS = {
    "skin": ("body",),
    "tongue": ("helper-tongue",),
}
"""Parts taken from MakeHuman's mesh, with the vertex groups they consist of."""

Box = tuple[float, float, float, float]

_MAKEHUMAN: dict[str, Box] = {
    "head": (0.630, 0.140, 1.000, 0.826),
    "neck": (0.190, 0.800, 0.570, 0.990),
    "mouth": (0.750, 0.000, 0.935, 0.140),
    "ears": (0.000, 0.540, 0.160, 0.650),
    "tongue": (0.620, 0.927, 0.650, 0.986),
}
"""Islands of MakeHuman's layout: u0, v0, u1, v1, origin at the lower left."""
TILES: dict[str, Box] = {
    "head": (0.00, 0.00, 0.62, 1.00),
    "neck": (0.62, 0.00, 1.00, 0.20),
    "mouth": (0.62, 0.20, 0.85, 0.40),
    "tongue": (0.85, 0.20, 1.00, 0.40),
    "ears": (0.62, 0.40, 1.00, 0.60),
    "eye": (0.62, 0.60, 0.90, 0.88),
    "hair": (0.90, 0.60, 1.00, 1.00),
}
"""Tiles of the atlas: x0, y0, x1, y1, origin at the upper left."""
MARGIN = 0.004


def place(tile: str, uv: np.ndarray) -> np.ndarray:
    """Put coordinates in [0, 1] (origin upper left) into a tile of the atlas."""
    x0, y0, x1, y1 = TILES[tile]
    low, high = np.array([x0, y0]) + MARGIN, np.array([x1, y1]) - MARGIN
    return low + uv * (high - low)


def is_in(tile: str, uv: np.ndarray) -> np.ndarray:
    """Whether coordinates ``(V, 2)`` of the atlas lie in a tile, ``(V,)`` bool."""
    x0, y0, x1, y1 = TILES[tile]
    return ((uv >= [x0, y0]) & (uv <= [x1, y1])).all(1)


def place_part(name: str, uv: np.ndarray) -> np.ndarray:
    """Move MakeHuman's texture coordinates ``(V, 2)`` of a part to the atlas."""
    islands = ("head", "neck", "mouth", "ears") if name == "skin" else (name,)
    out = np.full(uv.shape, np.nan)
    for island in islands:
        u0, v0, u1, v1 = _MAKEHUMAN[island]
        inside = (uv >= [u0, v0]).all(1) & (uv <= [u1, v1]).all(1)
        local = (uv[inside] - [u0, v0]) / np.array([u1 - u0, v1 - v0])
        out[inside] = place(island, np.stack([local[:, 0], 1 - local[:, 1]], axis=1))
    # The outermost triangles of the shoulders leave their island; they are cut off or covered.
    low, high = _MAKEHUMAN["neck"][:2], _MAKEHUMAN["neck"][2:]
    lost = np.isnan(out).any(1)
    local = (np.clip(uv[lost], low, high) - low) / np.subtract(high, low)
    out[lost] = place("neck", np.stack([local[:, 0], 1 - local[:, 1]], axis=1))
    return out


@dataclass(frozen=True)
class TexelMap:
    """What each texel of the atlas shows on the average head."""

    position: np.ndarray
    """``(S, S, 3)`` metres, from the middle between the eyes."""
    makehuman_uv: np.ndarray
    """``(S, S, 2)``, origin lower left."""
    covered: dict[str, np.ndarray]
    """Per part, ``(S, S)`` bool."""

    def sample(self, mask: np.ndarray) -> np.ndarray:
        """Look up a mask in MakeHuman's layout: ``(S, S)`` float32."""
        size = np.array(mask.shape[::-1], np.float32)
        xy = (self.makehuman_uv * [1, -1] + [0, 1]) * size
        return cv2.remap(mask, xy[..., 0].astype(np.float32), xy[..., 1].astype(np.float32), cv2.INTER_LINEAR)


def texel_map(source: "HeadSource", size: int) -> TexelMap:
    """Rasterise the parts in texture space, ``size`` x ``size`` texels."""
    context = ops.make_context()
    between = (source.joint(source.template, "l-eye") + source.joint(source.template, "r-eye")) / 2
    position, makehuman = np.zeros((size, size, 3)), np.zeros((size, size, 2))
    covered = {}
    for name, groups in PARTS.items():
        part = source.part(*groups)
        uv = place_part(name, part.uv)
        clip = np.concatenate([uv * 2 - 1, np.zeros((len(uv), 1)), np.ones((len(uv), 1))], axis=1)
        tri = torch.from_numpy(part.triangles)
        rast, _ = ops.rasterize(context, torch.from_numpy(clip)[None], tri, (size, size))
        values = np.concatenate([source.template[part.vertices] - between, part.uv], axis=1)
        out = ops.interpolate(torch.from_numpy(values)[None], rast, tri)[0][0].numpy()
        covered[name] = rast[0, ..., 3].numpy() > 0
        position[covered[name]] = out[covered[name]][:, :3]
        makehuman[covered[name]] = out[covered[name]][:, 3:]
    return TexelMap(position.astype(np.float32), makehuman.astype(np.float32), covered)


def spread_out(uv: np.ndarray, triangles: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Values of vertices ``(V, D)`` at the texels their triangles cover, ``(size, size, D)``; 0 elsewhere."""
    clip = np.concatenate([uv * 2 - 1, np.zeros((len(uv), 1)), np.ones((len(uv), 1))], axis=1)
    tri = torch.from_numpy(triangles)
    rast, _ = ops.rasterize(ops.make_context(), torch.from_numpy(clip)[None], tri, (size, size))
    return ops.interpolate(torch.from_numpy(values)[None], rast, tri)[0][0].numpy()


def bleed(image: np.ndarray, covered: np.ndarray, texels: int) -> np.ndarray:
    """Grow the covered area outwards by ``texels``, so that filtering finds no border colour."""
    image, known = image.copy(), covered.astype(np.float32)
    kernel = np.ones((3, 3), np.float32)
    for _ in range(texels):
        weight = cv2.filter2D(known, -1, kernel, borderType=cv2.BORDER_CONSTANT)
        spread = cv2.filter2D(image * known[..., None], -1, kernel, borderType=cv2.BORDER_CONSTANT)
        new = (known == 0) & (weight > 0)
        image[new] = spread[new] / weight[new][:, None]
        known[new] = 1
    return image
