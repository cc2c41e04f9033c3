"""An avatar: one mesh with named morph targets, whatever the GLB it came from looked like."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from freeavatar.rig import ARKIT


@dataclass(frozen=True)
class Material:
    """The part of glTF's metallic-roughness model the renderer uses."""

    name: str
    base_color: tuple[float, float, float]
    """Linear RGB in [0, 1]."""
    roughness: float
    texture: np.ndarray | None
    """sRGB base colour, ``(h, w, 3)`` uint8, or None."""


@dataclass(frozen=True)
class Avatar:
    """A drivable character; all primitives of its file merged, in the file's metres, y up, facing +z."""

    name: str
    path: Path
    """The GLB it was read from."""
    license: str
    author: str
    positions: np.ndarray
    """``(V, 3)`` float32."""
    normals: np.ndarray
    """Unit, ``(V, 3)`` float32."""
    uv: np.ndarray
    """Texture coordinates, ``(V, 2)`` float32, origin upper left."""
    colors: np.ndarray
    """Linear vertex colours, ``(V, 3)`` float32; ones where the file has none."""
    triangles: np.ndarray
    """``(T, 3)`` int32."""
    material: np.ndarray
    """Index into ``materials`` for each vertex, ``(V,)`` int32."""
    materials: tuple[Material, ...]
    target_names: tuple[str, ...]
    """Names of the morph targets: the avatar's rig."""
    target_positions: np.ndarray
    """Displacements at full weight, ``(K, V, 3)`` float32."""
    target_normals: np.ndarray
    """Changes of the normals at full weight, ``(K, V, 3)`` float32."""
    head_weight: np.ndarray
    """How far each vertex follows the head joint, ``(V,)`` in [0, 1]; ones without a skin."""
    head_pivot: np.ndarray
    """Point the head turns about, ``(3,)``."""
    landmarks: np.ndarray | None
    """Five points of the neutral face, ``(5, 3)``, where the file carries them: eye at image left, eye at
    image right, nose, mouth corners."""

    @property
    def is_arkit(self) -> bool:
        """Whether its targets include all 52 of ARKit's."""
        return set(ARKIT) <= set(self.target_names)

    @cached_property
    def face_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner, ``(3,)`` each, of what the targets move."""
        reach = np.abs(self.target_positions).max((0, 2))
        moved = self.positions[reach > 0.05 * reach.max()]
        return moved.min(0), moved.max(0)
