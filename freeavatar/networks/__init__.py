"""The networks in torch, as training takes and makes them; :mod:`freeavatar.models` runs them without."""

from freeavatar.networks.bundle import Bundle, load_bundle, load_encoder, load_renderer, save_bundle, save_renderer
from freeavatar.networks.decoder import RigDecoder
from freeavatar.networks.encoder import (
    CELL_SIZES,
    Encoder,
    backbone_input,
    encode_crops,
    make_backbone,
    to_luma,
    view_of_crops,
)
from freeavatar.networks.identity import POSE_SIZE, Appearance, Identities, Identity, save_identity
from freeavatar.networks.neural_renderer import NeuralRenderer, NeuralRendererConfig

__all__ = [
    "CELL_SIZES", "POSE_SIZE", "Appearance", "Bundle", "Encoder", "Identities", "Identity", "NeuralRenderer",
    "NeuralRendererConfig", "RigDecoder", "backbone_input", "encode_crops", "load_bundle", "load_encoder",
    "load_renderer", "make_backbone", "save_bundle", "save_identity", "save_renderer", "to_luma", "view_of_crops",
]  # fmt: skip
