"""Models: face crop -> expression feature and embedding -> rig weights -> an avatar's controls, and its picture."""

from freeavatar.models.bundle import (
    DEFAULT_WEIGHTS,
    Bundle,
    bundle_id,
    load_bundle,
    load_encoder,
    load_renderer,
    save_bundle,
    save_renderer,
)
from freeavatar.models.decoder import DecoderConfig, RigDecoder
from freeavatar.models.encoder import (
    EMBEDDING_SIZE,
    Encoder,
    EncoderConfig,
    backbone_input,
    make_backbone,
    to_luma,
    view_of_crops,
)
from freeavatar.models.identity import PORTRAIT_SIZE, Appearance, Identities, Identity
from freeavatar.models.library import adopted_bundle, open_bundle
from freeavatar.models.neural_renderer import NeuralRenderer, NeuralRendererConfig

__all__ = [
    "DEFAULT_WEIGHTS", "EMBEDDING_SIZE", "PORTRAIT_SIZE", "Appearance", "Bundle", "DecoderConfig", "Encoder",
    "EncoderConfig", "Identities", "Identity", "NeuralRenderer", "NeuralRendererConfig", "RigDecoder", "adopted_bundle",
    "backbone_input", "bundle_id", "load_bundle", "load_encoder", "load_renderer", "make_backbone", "open_bundle",
    "save_bundle", "save_renderer", "to_luma", "view_of_crops",
]  # fmt: skip
