"""The fast path on the CPU: pose, see, shade and antialias one picture with numba, in buffers that are kept.

It draws the same picture as the differentiable path at supersample 2, for a tenth of its time.
"""

from time import perf_counter

import numpy as np

from freeavatar.render.camera import Camera
from freeavatar.render.compiled import lanes, pose, resolve, shadow
from freeavatar.render.compiled.kernels import ROW
from freeavatar.render.compiled.packing import PackedAvatar, pack_lighting
from freeavatar.render.compiled.raster import Raster
from freeavatar.render.look import Lighting, Look
from freeavatar.render.shadow import EMPTY, KERNEL, MAP_SIZE

PASSES = ("pose", "project", "bin", "shadow", "fill", "shade")
"""What a picture takes, in order: ``bin`` and ``fill`` are the rasteriser, ``shadow`` is the light's whole map."""


class FusedRenderer:
    """Draws pictures of one avatar on the CPU, one after the other; several threads take one each."""

    def __init__(self, packed: PackedAvatar) -> None:
        self._packed = packed
        count = len(packed.rest)
        self._layers = packed.layers._replace(amounts=np.zeros_like(packed.layers.amounts))
        self._posed = np.empty_like(packed.rest)
        self._weights = np.zeros(len(packed.avatar.target_positions), np.float32)
        self._shadow = Raster(count, packed.triangles, MAP_SIZE, MAP_SIZE)
        self._blur = np.zeros(2 * (MAP_SIZE + len(KERNEL) - 1), np.float32)
        self._blurred = np.zeros((MAP_SIZE, 2 * MAP_SIZE), np.float32)
        self._moments = np.zeros((MAP_SIZE, MAP_SIZE, 2), np.float32)
        self._bend = np.empty(len(packed.triangles), np.float32)
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
        self._prepare(look)
        self._draw(weights, turn, look, camera, out, np.eye(4) if view is None else view)

    def _prepare(self, look: Look) -> None:
        """Make what depends on size, lights and background, where they changed."""
        height, width = look.size
        if self._raster is None or self._raster.shape != (2 * height, 2 * width):
            self._raster = Raster(len(self._posed), self._packed.triangles, 2 * height, 2 * width)
            queues = 2 * len(self._packed.materials.texture)
            self._queues = resolve.Queues(
                triangles=np.zeros((queues, lanes.LANES), np.int32),
                places=np.zeros((queues, 2 * lanes.LANES), np.float32),
                pixels=np.zeros((queues, lanes.LANES), np.int64),
                weights=np.zeros((queues, lanes.LANES), np.float32),
                counts=np.zeros(queues, np.int64),
                shares=np.zeros(6 * lanes.LANES, np.float32),
                points=np.zeros(lanes.LANES * ROW, np.float32),
                slopes=np.zeros(4 * lanes.LANES, np.float32),
                channels=np.zeros(lanes.CHANNELS * lanes.LANES, np.float32),
                totals=np.zeros((resolve.ROWS * width, 4), np.float32),
            )
        if self._lit is None or self._lit[0] is not look.lighting:
            self._lit = (look.lighting, pack_lighting(look.lighting, self._packed.avatar.positions))
        if self._backdrop[0] != (look.size, look.background):
            ramp = np.linspace(0, 1, 2 * height).reshape(-1, 2).mean(1)[:, None]
            top, bottom = (np.clip(c, 0, 1) * 255 for c in look.background or ((0, 0, 0), (0, 0, 0)))
            self._backdrop = ((look.size, look.background), (top + ramp * (bottom - top)).astype(np.float32))

    def _draw(
        self, weights: np.ndarray, turn: np.ndarray, look: Look, camera: Camera, out: np.ndarray, view: np.ndarray
    ) -> None:
        assert self._raster is not None and self._lit is not None
        raster, (lighting, lights) = self._raster, self._lit
        height, width = raster.shape
        times = [perf_counter()]
        lap = lambda: times.append(perf_counter())  # noqa: E731
        self._weigh(weights)
        packed = self._packed
        pose.pose(packed.rest, packed.targets, self._weights, *packed.head, turn, self._posed)
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
            packed.triangles.reshape(-1), self._posed.reshape(-1), raster.clip.reshape(-1), raster.xy, self._bend, ROW
        )
        resolve.resolve(
            raster.ids, raster.plane, depth, mesh, packed.materials, self._layers, scene, packed.tones,
            self._backdrop[1], self._queues, out,
        )  # fmt: skip
        lap()
        for name, start, end in zip(PASSES, times[:-1], times[1:], strict=True):
            self.seconds[name] += end - start

    def _weigh(self, weights: np.ndarray) -> None:
        """Set the weights of targets, correctives and wrinkles."""
        avatar, controls = self._packed.avatar, len(weights)
        self._weights[:controls] = weights
        by_name = dict(zip(avatar.target_names, weights.tolist(), strict=True))
        for k, corrective in enumerate(avatar.correctives, controls):
            self._weights[k] = corrective.weight(by_name)
        for k, layer in enumerate(avatar.wrinkles.layers if avatar.wrinkles else ()):
            self._layers.amounts[k] = min(max(layer.weight(by_name), 0), 1)

    def _cast_shadow(self, to_light: np.ndarray) -> None:
        self._shadow.project(self._posed, to_light)
        self._shadow.bin()
        self._shadow.fill()
        shadow.depth_moments(
            self._shadow.ids, self._shadow.depths, np.float32(EMPTY), _KERNEL, self._blur, self._blurred, self._moments
        )


_KERNEL = np.array(KERNEL, np.float32)


def _sample_depth(camera: Camera, height: int, zoom: float) -> float:
    """The change of z / w at the target over the distance between two samples, ``zoom`` times as close as usual."""
    x, y, z = camera.target
    matrix = camera.matrix().astype(np.float64)
    points = np.array([(x, y, z, 1.0), (*(np.array((x, y, z)) + camera.axes[2] * camera.extent / height / zoom), 1.0)])
    clip = points @ matrix.T
    return float(abs(np.diff(clip[:, 2] / clip[:, 3])[0]))
