"""One view of a mesh on its way through the rasteriser, in buffers that are kept; both render paths look through it."""

import numpy as np

from freeavatar.render.compiled.pose import project, snap
from freeavatar.render.compiled.visibility import (
    BAND,
    CHUNKS,
    RUN,
    count_triangles,
    fill_bands,
    place_bands,
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
        self.plane, self.rows = np.zeros((len(triangles), 3)), np.empty((len(triangles), 2), np.int32)
        self.counts = np.empty((CHUNKS, bands), np.int64)
        self.starts = np.empty(bands + 1, np.int64)
        self.order = np.empty(2 * len(triangles) + 1, np.int32)
        self.ids, self.depths = np.empty((height, stride), np.int32), np.empty((height, stride), np.float32)

    def project(self, posed: np.ndarray, matrix: np.ndarray) -> None:
        """Put posed vertices ``(V, ROW)`` before a camera."""
        project(posed, matrix, self.clip)
        self.snap(self.clip)

    def snap(self, clip: np.ndarray) -> None:
        """Put clip positions ``(V, 4)`` on the raster."""
        snap(clip, *self.shape, self.xy, self.depth)

    def bin(self) -> None:
        """Sort the triangles into bands."""
        count_triangles(self.xy, self.depth, self.triangles, *self.shape, self.plane, self.rows, self.counts)
        total = place_bands(self.counts, self.starts)
        if total > len(self.order):
            self.order = np.empty(2 * total, np.int32)
        sort_triangles(self.rows, self.counts, self.order)

    def fill(self) -> None:
        """Find the triangle of each sample: ``ids`` and ``depths``, rows padded to a multiple of ``RUN``."""
        fill_bands(
            self.xy, self.triangles, self.plane, self.rows, self.starts, self.order, self.shape[1],
            self.depths, self.ids,
        )  # fmt: skip
