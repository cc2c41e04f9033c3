"""An avatar: one mesh with named morph targets, whatever the GLB it came from looked like."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from freeavatar.rig import ARKIT

USUAL_LANDMARKS = np.array([[-0.163, 0.691], [0.163, 0.691], [0, 0.478], [-0.167, 0.332], [0.167, 0.332]])
"""Where eyes, nose and mouth corners of a face lie in the box of what its targets move, by the box's height, from
the middle of its bottom; the mean of the avatars that ship."""
Surface = Literal["skin", "eye", "hair", "mouth", "plain"]
"""How light behaves on a material: scatters below it (skin), is mirrored by a wet dome (eye), runs along
strands (hair), hardly gets there (the inside of a mouth), or none of these."""


@dataclass(frozen=True)
class Material:
    """The part of glTF's metallic-roughness model the renderer uses."""

    name: str
    base_color: tuple[float, float, float]
    """Linear RGB in [0, 1]."""
    roughness: float
    texture: np.ndarray | None
    """sRGB base colour, ``(h, w, 3)`` uint8, or None."""
    surface: Surface = "plain"


def _product(inputs: tuple[str, ...], weights: Mapping[str, Any]) -> Any:
    """Product of the controls ``inputs``, each as it is or, after ``!``, what it lacks to 1."""
    factors: list[Any] = [1 - weights[n[1:]] if n.startswith("!") else weights[n] for n in inputs]
    return math.prod(factors)


@dataclass(frozen=True)
class Corrective:
    """A target that mends the sum of others: its weight is the product of theirs."""

    name: str
    inputs: tuple[str, ...]
    """Names of controls; ``!`` before one stands for what its weight lacks to 1."""

    @property
    def controls(self) -> frozenset[str]:
        """Names of the controls it depends on."""
        return frozenset(name.removeprefix("!") for name in self.inputs)

    def weight(self, weights: Mapping[str, Any]) -> Any:
        """Its weight for weights of the controls, arrays or tensors by name."""
        return _product(self.inputs, weights)


@dataclass(frozen=True)
class WrinkleLayer:
    """Folds that appear together."""

    name: str
    box: tuple[float, float, float, float]
    """Where it lies in texture coordinates: u0, v0, u1, v1, origin upper left."""
    heights: np.ndarray
    """Texels of that box, ``(h, w, 3)`` float32: height in metres and how it grows along u and along v."""
    terms: tuple[tuple[float, tuple[str, ...]], ...]
    """Coefficients and the controls whose product each one multiplies; ``!`` before a control stands for what its
    weight lacks to 1."""

    def weight(self, weights: Mapping[str, Any]) -> Any:
        """Its weight for weights of the controls, arrays or tensors by name; to be clamped to [0, 1]."""
        return sum(coefficient * _product(names, weights) for coefficient, names in self.terms)


@dataclass(frozen=True)
class Wrinkles:
    """What an avatar's skin can fold into."""

    materials: tuple[int, ...]
    """The materials that fold."""
    layers: tuple[WrinkleLayer, ...]


@dataclass(frozen=True)
class Avatar:
    """A drivable character; all primitives of its file merged, in the file's metres, y up, facing +z."""

    name: str
    path: Path
    """The GLB it was read from."""
    content: str
    """What that file held, as :func:`freeavatar.files.content_id` has it: two avatars of one name differ in it."""
    license: str
    author: str
    positions: np.ndarray
    """``(V, 3)`` float32."""
    normals: np.ndarray
    """Unit, ``(V, 3)`` float32."""
    tangents: np.ndarray
    """Direction of the strands on hair, unit, ``(V, 3)`` float32; zeros elsewhere."""
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
    """Names of the morph targets that a rig sets, ``K``: the avatar's controls."""
    correctives: tuple[Corrective, ...]
    """Morph targets that follow from those, ``C``."""
    drive: np.ndarray
    """How the controls follow ARKit's blendshapes, ``(K, 52)`` float32."""
    target_positions: np.ndarray
    """Displacements at full weight, ``(K + C, V, 3)`` float32: controls, then correctives."""
    target_normals: np.ndarray
    """Changes of the normals at full weight, ``(K + C, V, 3)`` float32."""
    head_weight: np.ndarray
    """How far each vertex follows the head joint, ``(V,)`` in [0, 1]; ones without a skin."""
    head_pivot: np.ndarray
    """Point the head turns about, ``(3,)``."""
    landmarks: np.ndarray | None
    """Five points of the neutral face, ``(5, 3)``, where the file carries them: eye at image left, eye at
    image right, nose, mouth corners."""
    unused_targets: tuple[str, ...] = ()
    """Names of the morph targets and expressions that nothing drives; they are not loaded."""
    head_names: tuple[str, ...] = ()
    """Names of the nodes that turn the head."""
    has_head_joint: bool = False
    """Whether that is a joint, about which the skin bends, and not the whole model."""
    wrinkles: Wrinkles | None = None
    """What its skin can fold into, where the file declares it."""

    @property
    def is_arkit(self) -> bool:
        """Whether its controls include all 52 of ARKit's, by their own names."""
        return set(ARKIT) <= set(self.target_names)

    @property
    def missing_blendshapes(self) -> tuple[str, ...]:
        """Those of ARKit's blendshapes that move nothing."""
        return tuple(name for index, name in enumerate(ARKIT) if not self.drive[:, index].any())

    def control_weights(self, arkit: np.ndarray, drive: np.ndarray | None = None) -> np.ndarray:
        """Turn ARKit's blendshapes ``(T, 52)`` into weights of the controls, ``(T, K)`` in [0, 1].

        Args:
            arkit: weights of the blendshapes.
            drive: how the controls follow them, ``(K, 52)``, where that was learned; default as the file declares.
        """
        return np.clip(arkit @ (self.drive if drive is None else drive).T, 0, 1)

    def corrective_weights(self, weights: np.ndarray) -> np.ndarray:
        """Weights of the correctives, ``(T, C)``, for weights of the controls ``(T, K)``."""
        by_name = dict(zip(self.target_names, weights.T, strict=True))
        columns = [corrective.weight(by_name) for corrective in self.correctives]
        return np.stack(columns, axis=1) if columns else np.zeros((len(weights), 0), weights.dtype)

    @cached_property
    def face_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner, ``(3,)`` each, of what the targets move."""
        reach = np.abs(self.target_positions).max((0, 2))
        moved = self.positions[reach > 0.05 * reach.max()]
        return moved.min(0), moved.max(0)

    @cached_property
    def face_points(self) -> np.ndarray:
        """The landmarks, ``(5, 3)``, or where they usually lie if the file carries none."""
        if self.landmarks is not None:
            return self.landmarks
        low, high = self.face_box
        height = high[1] - low[1]
        x, y = (low[0] + high[0]) / 2, low[1]
        return np.c_[USUAL_LANDMARKS * height + (x, y), np.full(5, high[2] - 0.2 * height)]

    @cached_property
    def head_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner, ``(3,)`` each, of the head with its hair: what turns with it near the face."""
        low, high = self.face_box
        reach = 1.2 * (high[1] - low[1])
        near = (np.abs(self.positions - (low + high) / 2) < reach + (high - low) / 2).all(1) & (self.head_weight > 0.5)
        if not near.any():
            return low, high
        return np.minimum(self.positions[near].min(0), low), np.maximum(self.positions[near].max(0), high)
