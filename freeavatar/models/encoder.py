"""The expression encoder: aligned face crops to a pooled feature and a 16-d unit embedding."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from freeavatar.models.graphs import Graph

Backbone = Literal["tf_efficientnet_lite0", "vit_tiny_patch16_224", "vit_base_patch16_224"]

EMBEDDING_SIZE = 16
"""Dimensions of the expression embedding (Vemulapalli and Agarwala 2019; the paper keeps them)."""
VIEW = (12, 20, 132, 140)
"""What the encoder sees of a loose crop: left, top, right, bottom in crop pixels."""
CROP_SIZE = 144
"""Side of a loose crop, :data:`freeavatar.faces.CROP_SIZE`, which lies above this package."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue (Rec. 601, as JPEG and OpenCV have it)."""


@dataclass(frozen=True)
class EncoderConfig:
    """Which encoder."""

    backbone: Backbone = "tf_efficientnet_lite0"
    """timm name: EfficientNet-Lite0, or a ViT (tiny at 112 pixels, the paper's base at 224)."""
    image_size: int = 112
    """Side of the input in pixels."""
    feature_size: int = 384
    """Dimensions of the pooled feature."""
    patch_size: int = 16
    """Side of a ViT's patches in pixels; EfficientNet-Lite0 has none."""
    has_cells: bool = True
    """A CNN's feature sees its finer maps cell by cell, besides the mean over the last one."""

    def __post_init__(self) -> None:
        if self.backbone not in get_args(Backbone):
            raise ValueError(f"backbone is {self.backbone!r}, expected one of {', '.join(get_args(Backbone))}")
        if self.image_size % 16:
            raise ValueError(f"image_size is {self.image_size}, expected a multiple of 16")
        if self.is_vit and self.image_size % self.patch_size:
            raise ValueError(f"image_size is {self.image_size}, expected a multiple of patch_size {self.patch_size}")

    @property
    def is_vit(self) -> bool:
        """Whether the backbone is a vision transformer."""
        return self.backbone.startswith("vit")


class Encoder:
    """The encoder of a bundle; one may serve every thread of a process."""

    def __init__(self, config: EncoderConfig, graph: Graph) -> None:
        self.config, self.graph = config, graph

    def encode(self, crops: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Encode aligned face crops.

        Args:
            crops: RGB, each ``(S, S, 3)`` uint8 with the loose margin, all of one size.

        Returns:
            Pooled features ``(B, feature_size)`` and unit-length expression embeddings ``(B, 16)``, float32.
        """
        feature, embedding = self.graph.run(views=views_of_crops(np.stack(crops), self.config.image_size))
        return feature, embedding


def views_of_crops(crops: np.ndarray, size: int) -> np.ndarray:
    """Cut the encoder's view out of loose crops.

    Args:
        crops: RGB, ``(B, S, S, 3)`` uint8.
        size: side of the view in pixels.

    Returns:
        Luma, ``(B, 1, size, size)`` float32 in [0, 1].
    """
    luma = crops.astype(np.float32) @ (_LUMA / 255)
    left, top, right, bottom = VIEW
    # Two neighbours each and no matrix product, whose BLAS would wake threads and wait for the detector's core.
    low, share = _taps(top, bottom, crops.shape[1], size)
    rows = luma[:, low] + share[:, None] * (luma[:, low + 1] - luma[:, low])
    low, share = _taps(left, right, crops.shape[2], size)
    near = rows[:, :, low]
    return (near + share * (rows[:, :, low + 1] - near))[:, None]


@lru_cache(maxsize=16)
def _taps(begin: int, end: int, side: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """What to read of ``side`` pixels for ``size`` between two edges: the first of two neighbours, ``(size,)``, and the
    second's share; beyond the centres of the outermost pixels these go on."""
    places = (begin + (np.arange(size) + 0.5) / size * (end - begin)) / CROP_SIZE * side - 0.5
    places = places.clip(0, side - 1)
    low = np.minimum(places.astype(int), side - 2)
    return low, (places - low).astype(np.float32)
