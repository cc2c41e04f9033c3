"""Where the tests find what they read, and clips they write."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from freeavatar.video import VideoWriter

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
"""Clips and faces that are not part of the project: what needs them is skipped where they are absent."""


def write_clip(path: Path, images: list[np.ndarray], rate: Fraction = Fraction(25)) -> Path:
    """Write images ``(H, W, 3)`` uint8 as a video."""
    with VideoWriter(path, size=images[0].shape[:2], rate=rate) as writer:
        for k, image in enumerate(images):
            writer.write(image, float(k / rate))
    return path
