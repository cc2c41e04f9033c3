"""The fast path on the CPU: pose, see, shade and antialias one picture with numba, in buffers that are kept.

It draws the same picture as the differentiable path at supersample 2, for a tenth of its time.
"""

from collections.abc import Sequence
from time import perf_counter

import numba
import numpy as np

from freeavatar.avatars.avatar import Avatar, Material
from freeavatar.render.camera import Camera
from freeavatar.render.compiled import lanes, pose, resolve, visibility, wrinkles
from freeavatar.render.compiled.kernels import PARALLEL, ROW
from freeavatar.render.compiled.raster import Raster
from freeavatar.render.folds import fold_frames
from freeavatar.render.look import Lighting, Look
from freeavatar.render.shadow import EMPTY, KERNEL, MAP_SIZE, light_matrix
from freeavatar.render.surfaces import material_table
from freeavatar.render.tones import to_linear, tone_map

PASSES = ("pose", "project", "bin", "shadow", "fill", "shade")
"""What a picture takes, in order: ``bin`` and ``fill`` are the rasteriser, ``shadow`` is the light's whole map."""
HAIR_REACH = 5.0
"""How much farther apart, against other surfaces, samples on hair may lie to be shaded as one."""


class FusedRenderer:
    """Draws pictures of one avatar on the CPU; pictures asked for from several threads are drawn in turn."""

    def __init__(self, avatar: Avatar) -> None:
        self._avatar = avatar
        self._targets = pose.sparse_targets(avatar)
        base = np.array([m.base_color for m in avatar.materials], np.float32)[avatar.material]
        tangents, skew = fold_frames(avatar)
        parts = (avatar.positions, avatar.normals, tangents, avatar.uv, base * avatar.colors, skew)
        self._rest = np.zeros((len(avatar.positions), ROW), np.float32)
        np.concatenate(parts, axis=1, out=self._rest)
        self._layers = wrinkles.pack_layers(avatar)
        self._posed = np.empty_like(self._rest)
        self._weights = np.zeros(len(avatar.target_positions), np.float32)
        self._triangles = triangles = _front_to_back(avatar)
        self._head = (np.ascontiguousarray(avatar.head_weight, np.float32), avatar.head_pivot.astype(np.float32))
        used, material = np.unique(avatar.material[triangles[:, 0]], return_inverse=True)
        materials = [avatar.materials[k] for k in used]
        folds = np.isin(used, avatar.wrinkles.materials if avatar.wrinkles else ())
        self._materials = _pack_materials(materials, material, folds)
        self._tones = tone_map((np.arange(lanes.TONE_ENTRIES, dtype=np.float32) / lanes.TONE_STEPS) ** 2) * 255
        self._shadow = Raster(len(self._rest), self._triangles, MAP_SIZE, MAP_SIZE)
        self._blur = np.zeros((MAP_SIZE, 2 * (MAP_SIZE + len(KERNEL) - 1)), np.float32)
        self._blurred = np.zeros((MAP_SIZE, 2 * MAP_SIZE), np.float32)
        self._moments = np.zeros((MAP_SIZE, MAP_SIZE, 2), np.float32)
        self._bend = np.empty(len(triangles), np.float32)
        self._raster: Raster | None = None
        self._lit: tuple[Lighting, resolve.Lights] | None = None
        self._backdrop: tuple[object, np.ndarray] = (None, np.zeros((0, 3), np.float32))
        self.seconds = dict.fromkeys(PASSES, 0.0)
        """Time spent in each pass since the renderer was made."""

    def draw(
        self,
        weights: np.ndarray,
        turn: np.ndarray,
        look: Look,
        camera: Camera,
        out: np.ndarray,
        *,
        view: np.ndarray | None = None,
    ) -> None:
        """Draw one picture.

        Args:
            weights: ``(K,)`` float32 rig weights.
            turn: rotation of the head, ``(3, 3)`` float32.
            look: size, lights and background.
            camera: where from.
            out: ``(H, W, 3)`` uint8, or 4 where the look has no background; written.
            view: ``(4, 4)`` similarity applied after the camera in clip space; default none.
        """
        with PARALLEL:
            self._prepare(look)
            self._draw(weights, turn, look, camera, out, np.eye(4) if view is None else view)

    def _prepare(self, look: Look) -> None:
        """Make what depends on size, lights and background, where they changed."""
        height, width = look.size
        if self._raster is None or self._raster.shape != (2 * height, 2 * width):
            self._raster = Raster(len(self._rest), self._triangles, 2 * height, 2 * width)
            threads, materials = numba.config.NUMBA_NUM_THREADS, len(self._materials.texture)  # type: ignore[attr-defined]
            self._queues = resolve.Queues(
                triangles=np.zeros((threads, 2 * materials, lanes.LANES), np.int32),
                places=np.zeros((threads, 2 * materials, 2 * lanes.LANES), np.float32),
                pixels=np.zeros((threads, 2 * materials, lanes.LANES), np.int64),
                weights=np.zeros((threads, 2 * materials, lanes.LANES), np.float32),
                counts=np.zeros((threads, 2 * materials), np.int64),
                shares=np.zeros((threads, 6 * lanes.LANES), np.float32),
                points=np.zeros((threads, lanes.LANES * ROW), np.float32),
                slopes=np.zeros((threads, 4 * lanes.LANES), np.float32),
                channels=np.zeros((threads, lanes.CHANNELS * lanes.LANES), np.float32),
                totals=np.zeros((threads, resolve.ROWS * width, 4), np.float32),
            )
        if self._lit is None or self._lit[0] is not look.lighting:
            self._lit = (look.lighting, _pack_lighting(look.lighting, self._avatar.positions))
        if self._backdrop[0] != (look.size, look.background):
            ramp = np.linspace(0, 1, 2 * height).reshape(-1, 2).mean(1)[:, None]
            top, bottom = (np.array(c) * 255 for c in look.background or ((0, 0, 0), (0, 0, 0)))
            self._backdrop = ((look.size, look.background), (top + ramp * (bottom - top)).astype(np.float32))

    def _draw(
        self, weights: np.ndarray, turn: np.ndarray, look: Look, camera: Camera, out: np.ndarray, view: np.ndarray
    ) -> None:
        assert self._raster is not None and self._lit is not None
        raster, (lighting, lights) = self._raster, self._lit
        height, width = raster.shape
        times = [perf_counter()]
        lap = lambda: times.append(perf_counter())  # noqa: E731
        controls = len(weights)
        self._weights[:controls] = weights
        by_name = dict(zip(self._avatar.target_names, weights.tolist(), strict=True))
        for k, corrective in enumerate(self._avatar.correctives, controls):
            self._weights[k] = corrective.weight(by_name)
        for k, layer in enumerate(self._avatar.wrinkles.layers if self._avatar.wrinkles else ()):
            self._layers.amounts[k] = min(max(layer.weight(by_name), 0), 1)
        pose.pose(self._rest, self._targets, self._weights, *self._head, turn, self._posed)
        lap()
        raster.project(self._posed, (view @ camera.matrix(width / height)).astype(np.float32))
        lap()
        raster.bin()
        lap()
        has_shadow = lighting.shadow > 0 and len(lighting.lights) > 0
        if has_shadow:
            self._cast_shadow(lights.to_key)
        lap()
        raster.fill()
        lap()
        strength = np.float32(lighting.shadow if has_shadow else 0)
        scene = resolve.Scene(*lights, self._moments, strength, camera.eye.astype(np.float32))
        depth = _sample_depth(camera, height, float(np.hypot(*view[:2, 0])))
        self._bend[:] = -1
        mesh = resolve.Mesh(
            self._triangles.reshape(-1), self._posed.reshape(-1), raster.clip.reshape(-1), raster.xy, self._bend, ROW
        )
        resolve.resolve(
            raster.ids, raster.plane, depth, mesh, self._materials, self._layers, scene,
            self._tones, self._backdrop[1], self._queues, numba.get_num_threads(), out,
        )  # fmt: skip
        lap()
        for name, start, end in zip(PASSES, times[:-1], times[1:], strict=True):
            self.seconds[name] += end - start

    def _cast_shadow(self, to_light: np.ndarray) -> None:
        self._shadow.project(self._posed, to_light)
        self._shadow.bin()
        self._shadow.fill()
        resolve.depth_moments(
            self._shadow.ids, self._shadow.depths, np.float32(EMPTY), _KERNEL, self._blur, self._blurred, self._moments
        )


_KERNEL = np.array(KERNEL, np.float32)


def _front_to_back(avatar: Avatar) -> np.ndarray:
    """Triangles ``(T, 3)`` int32 by how far in front their foremost corner stands at rest: most of what a face hides
    comes after what hides it, however the head turns."""
    triangles = avatar.triangles[visibility.canonical_order(avatar.triangles)]
    depth = -avatar.positions[triangles, 2].max(1, initial=-np.inf)
    return np.ascontiguousarray(triangles[np.argsort(depth, kind="stable")], np.int32)


def _sample_depth(camera: Camera, height: int, zoom: float) -> float:
    """The change of z / w at the target over the distance between two samples, ``zoom`` times as close as usual."""
    x, y, z = camera.target
    matrix = camera.matrix().astype(np.float64)
    points = np.array([(x, y, z, 1.0), (*(np.array((x, y, z)) + camera.axes[2] * camera.extent / height / zoom), 1.0)])
    clip = points @ matrix.T
    return float(abs(np.diff(clip[:, 2] / clip[:, 3])[0]))


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


def _pack_lighting(lighting: Lighting, positions: np.ndarray) -> resolve.Lights:
    """Lights as kernels take them."""
    directions = np.array([light.direction for light in lighting.lights], np.float64).reshape(-1, 3)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    colors = np.array([light.color for light in lighting.lights]).reshape(-1, 3)
    lights = np.concatenate([directions, colors], axis=1).astype(np.float32)
    key = lighting.lights[0].direction if lighting.lights else (0.0, 0.0, 1.0)
    sky, ground = np.array(lighting.sky, np.float32), np.array(lighting.ground, np.float32)
    return resolve.Lights(lights, sky, ground, light_matrix(positions, key))
