"""Models: face crop -> expression feature and embedding -> rig weights. No torch: ONNX Runtime runs them."""

from freeavatar.models.bundle import DEFAULT_WEIGHTS, Bundle, bundle_id, load_bundle, load_encoder
from freeavatar.models.decoder import DecoderConfig, RigDecoder
from freeavatar.models.device import choose_device
from freeavatar.models.encoder import CROP_SIZE, EMBEDDING_SIZE, VIEW, Encoder, EncoderConfig
from freeavatar.models.identity import CODE_SIZE, PORTRAIT_SIZE, Identities, Identity, IdentityEncoder, load_identity
from freeavatar.models.library import adopted_bundle, open_bundle

__all__ = [
    "CODE_SIZE", "CROP_SIZE", "DEFAULT_WEIGHTS", "EMBEDDING_SIZE", "PORTRAIT_SIZE", "VIEW", "Bundle", "DecoderConfig",
    "Encoder", "EncoderConfig", "Identities", "Identity", "IdentityEncoder", "RigDecoder", "adopted_bundle",
    "bundle_id", "choose_device", "load_bundle", "load_encoder", "load_identity", "open_bundle",
]  # fmt: skip
