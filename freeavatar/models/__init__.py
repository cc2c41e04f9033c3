"""Models: face crop -> expression feature and embedding -> rig weights of an avatar."""

from freeavatar.models.bundle import DEFAULT_WEIGHTS, Bundle, load_bundle, load_encoder, save_bundle
from freeavatar.models.decoder import DecoderConfig, RigDecoder
from freeavatar.models.encoder import Encoder, EncoderConfig, backbone_input, make_backbone, to_luma, view_of_crops

__all__ = [
    "DEFAULT_WEIGHTS", "Bundle", "DecoderConfig", "Encoder", "EncoderConfig", "RigDecoder",
    "backbone_input", "load_bundle", "load_encoder", "make_backbone", "save_bundle", "to_luma", "view_of_crops",
]  # fmt: skip
