"""Small bundles of weights for the tests."""

from pathlib import Path

import torch

from freeavatar.models import Bundle, DecoderConfig, Encoder, EncoderConfig, RigDecoder, save_bundle
from freeavatar.rig import ARKIT

ENCODER = EncoderConfig(image_size=32, feature_size=16)


def make_bundle(folder: Path, *, seed: int = 0, controls: tuple[str, ...] = ARKIT) -> Path:
    """An untrained bundle that sees 32 pixels."""
    torch.manual_seed(seed)
    return save_bundle(folder, Bundle(Encoder(ENCODER), RigDecoder(DecoderConfig(16, controls)), {"seed": seed}))
