"""Models: face crop -> expression feature and embedding -> rig weights of an avatar."""

from freeavatar.models.bundle import DEFAULT_WEIGHTS, Bundle, load_bundle, load_encoder, save_bundle
from freeavatar.models.decoder import DecoderConfig, RigDecoder
from freeavatar.models.encoder import Encoder, EncoderConfig, backbone_input, make_backbone, to_luma, view_of_crops
from freeavatar.models.library import adopted_bundle, bundle_id, open_bundle

__all__ = [
    "DEFAULT_WEIGHTS", "Bundle", "DecoderConfig", "Encoder", "EncoderConfig", "RigDecoder", "adopted_bundle",
    "backbone_input", "bundle_id", "load_bundle", "load_encoder", "make_backbone", "open_bundle", "save_bundle",
    "to_luma", "view_of_crops",
]  # fmt: skip
