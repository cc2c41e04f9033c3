"""An avatar in the flat arrays that kernels take, made once and drawn from by any number of threads."""

from collections.abc import Sequence

import numpy as np

from freeavatar.avatars.avatar import Avatar, Material
from freeavatar.render.compiled import lanes, pose, resolve, visibility, wrinkles
from freeavatar.render.compiled.kernels import ROW
from freeavatar.render.folds import fold_frames
from freeavatar.render.look import Lighting
from freeavatar.render.shadow import light_matrix
from freeavatar.render.surfaces import material_table
from freeavatar.render.tones import to_linear, tone_map

HAIR_REACH = 5.0
"""How much farther apart, against other surfaces, samples on hair may lie to be shaded as one."""


class PackedAvatar:
    """What does not change from picture to picture; nothing here is written to."""

    def __init__(self, avatar: Avatar) -> None:
        self.avatar = avatar
        self.targets = pose.sparse_targets(avatar)
        base = np.array([m.base_color for m in avatar.materials], np.float32)[avatar.material]
        tangents, skew = fold_frames(avatar)
        parts = (avatar.positions, avatar.normals, tangents, avatar.uv, base * avatar.colors, skew)
        self.rest = np.zeros((len(avatar.positions), ROW), np.float32)
        np.concatenate(parts, axis=1, out=self.rest)
        np.nan_to_num(self.rest, copy=False, posinf=0, neginf=0)  # kernels index by what they find here
        self.layers = wrinkles.pack_layers(avatar)
        self.triangles = _front_to_back(avatar)
        self.head = (np.ascontiguousarray(avatar.head_weight, np.float32), avatar.head_pivot.astype(np.float32))
        used, material = np.unique(avatar.material[self.triangles[:, 0]], return_inverse=True)
        folds = np.isin(used, avatar.wrinkles.materials if avatar.wrinkles else ())
        self.materials = _pack_materials([avatar.materials[k] for k in used], material, folds)
        self.tones = tone_map((np.arange(lanes.TONE_ENTRIES, dtype=np.float32) / lanes.TONE_STEPS) ** 2) * 255


def _front_to_back(avatar: Avatar) -> np.ndarray:
    """Triangles ``(T, 3)`` int32 by how far in front their foremost corner stands at rest: most of what a face hides
    comes after what hides it, however the head turns."""
    triangles = avatar.triangles[visibility.canonical_order(avatar.triangles)]
    depth = -avatar.positions[triangles, 2].max(1, initial=-np.inf)
    return np.ascontiguousarray(triangles[np.argsort(depth, kind="stable")], np.int32)


def _pack_materials(materials: Sequence[Material], of_triangle: np.ndarray, folds: np.ndarray) -> resolve.Materials:
    """Materials and the texels of their textures as kernels take them; each texture once."""
    images = [material.texture for material in materials]
    kept = {id(image): image for image in images if image is not None}
    sizes = [image.shape[:2] for image in kept.values()]
    starts = np.cumsum([0] + [3 * h * w for h, w in sizes])[:-1]
    order = {key: k for k, key in enumerate(kept)}
    return resolve.Materials(
        of_triangle=of_triangle.astype(np.int32).ravel(),
        table=material_table(materials).reshape(-1, 12),
        texture=np.array([order.get(id(image), -1) for image in images], np.int64),
        reach=np.array([HAIR_REACH if material.surface == "hair" else 1.0 for material in materials]),
        straight=np.array([0 if m.surface == "eye" else resolve.STRAIGHT**2 for m in materials], np.float32),
        folds=folds,
        texels=np.concatenate([np.zeros(0, np.uint8), *(image.ravel() for image in kept.values())]),
        places=np.array([(start, *size) for start, size in zip(starts, sizes, strict=True)], np.int64).reshape(-1, 3),
        linear=to_linear(np.arange(256, dtype=np.float32) / 255),
    )


def pack_lighting(lighting: Lighting, positions: np.ndarray) -> resolve.Lights:
    """Lights as kernels take them."""
    directions = np.array([light.direction for light in lighting.lights], np.float64).reshape(-1, 3)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    colors = np.array([light.color for light in lighting.lights]).reshape(-1, 3)
    lights = np.concatenate([directions, colors], axis=1).astype(np.float32)
    key = lighting.lights[0].direction if lighting.lights else (0.0, 0.0, 1.0)
    sky, ground = np.array(lighting.sky, np.float32), np.array(lighting.ground, np.float32)
    return resolve.Lights(lights, sky, ground, light_matrix(positions, key))
