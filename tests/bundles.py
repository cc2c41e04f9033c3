"""Small bundles of weights for the tests."""

from dataclasses import replace
from pathlib import Path

import torch

from freeavatar.avatars import load_avatar
from freeavatar.models import DecoderConfig, EncoderConfig
from freeavatar.networks import Bundle, Encoder, Identity, NeuralRenderer, NeuralRendererConfig, RigDecoder, save_bundle
from freeavatar.rig import ARKIT

ENCODER = EncoderConfig(image_size=32, feature_size=16)


def make_bundle(folder: Path, *, seed: int = 0, controls: tuple[str, ...] = ARKIT, has_renderer: bool = False) -> Path:
    """An untrained bundle that sees 32 pixels; with a neural renderer it knows two avatars, too."""
    torch.manual_seed(seed)
    made = Bundle(Encoder(ENCODER), RigDecoder(DecoderConfig(16, controls)), {"seed": seed})
    if has_renderer:
        renderer = NeuralRenderer(NeuralRendererConfig(hidden_size=24, plan_size=4))
        torch.nn.init.normal_(renderer.out.weight, std=0.05)
        avatars = [load_avatar(name) for name in ("ines", "moss")]
        known = {a.name: Identity(a.target_names, torch.from_numpy(a.drive)) for a in avatars}
        made = replace(made, neural_renderer=renderer, identities=known)
    return save_bundle(folder, made)
