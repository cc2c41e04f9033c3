"""One view of a mesh on its way through the rasteriser, in buffers that are kept; both render paths look through it."""

import numpy as np

from freeavatar.render.compiled.pose import project, snap
from freeavatar.render.compiled.visibility import (
    BAND,
    RUN,
    TILE,
    count_triangles,
    fill_bands,
    sort_triangles,
)


class Raster:
    """Buffers of one rasterised view of a mesh."""

    def __init__(self, vertices: int, triangles: np.ndarray, height: int, width: int) -> None:
        bands = -(-height // BAND)
        stride = -(-width // RUN) * RUN
        self.triangles, self.shape = triangles, (height, width)
        self.clip = np.empty((vertices, 4), np.float32)
        self.xy, self.depth = np.empty((vertices, 2), np.int32), np.empty(vertices, np.float64)
        self.plane, self.box = np.zeros((len(triangles), 3)), np.empty((len(triangles), 4), np.int32)
        self.nearest = np.empty(len(triangles), np.float32)
        self.starts, self._ends = np.empty(bands + 1, np.int64), np.empty(bands, np.int64)
        self.order = np.empty(2 * len(triangles) + 1, np.int32)
        rows = bands * BAND
        self.ids, self.depths = np.empty((rows, stride), np.int32), np.empty((rows, stride), np.float32)
        self._far = np.empty((rows // TILE, stride // RUN), np.float32)

    def project(self, posed: np.ndarray, matrix: np.ndarray) -> None:
        """Put posed vertices ``(V, ROW)`` before a camera."""
        project(posed, matrix, self.clip)
        self.snap(self.clip)

    def snap(self, clip: np.ndarray) -> None:
        """Put clip positions ``(V, 4)`` on the raster."""
        snap(clip, *self.shape, self.xy, self.depth)

    def bin(self) -> None:
        """Sort the triangles into bands."""
        count_triangles(
            self.xy, self.depth, self.triangles, *self.shape, self.plane, self.box, self.nearest, self.starts
        )
        if self.starts[-1] > len(self.order):
            self.order = np.empty(2 * int(self.starts[-1]), np.int32)
        sort_triangles(self.box, self.starts, self._ends, self.order)

    def fill(self) -> None:
        """Find the triangle of each sample: ``ids`` and ``depths``, padded to multiples of ``BAND`` and ``RUN``."""
        fill_bands(
            self.xy, self.triangles, self.plane, self.box, self.nearest, self.starts, self.order, self._far,
            self.depths, self.ids,
        )  # fmt: skip
