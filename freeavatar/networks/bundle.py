"""A bundle in torch: what training makes and goes on from, in half precision on disk."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from freeavatar.errors import WeightsError
from freeavatar.files import make_folder, replacing
from freeavatar.models.bundle import DEFAULT_WEIGHTS, bundle_id, read_state
from freeavatar.models.config import (
    FORMAT,
    decoder_config,
    encoder_config,
    explaining,
    known_identities,
    read_config,
)
from freeavatar.networks.decoder import RigDecoder
from freeavatar.networks.encoder import Encoder
from freeavatar.networks.identity import Identities, Identity
from freeavatar.networks.neural_renderer import NeuralRenderer, renderer_config
from freeavatar.rig import ARKIT


@dataclass(frozen=True)
class Bundle:
    """Networks that belong together."""

    encoder: Encoder
    decoder: RigDecoder
    info: dict[str, Any] = field(default_factory=dict)
    """What config.json says of their training."""
    neural_renderer: NeuralRenderer | None = None
    identities: Identities = field(default_factory=dict)
    """Of the avatars that were met in training."""
    id: str = "unsaved"
    """Twelve hex digits of what it was loaded from, for results to name."""


def save_bundle(folder: Path, bundle: Bundle) -> Path:
    """Write a bundle in half precision and return its folder."""
    config: dict[str, Any] = {"encoder": asdict(bundle.encoder.config), "decoder": asdict(bundle.decoder.config)}
    _save_part(folder, "encoder", bundle.encoder)
    _save_part(folder, "decoder", bundle.decoder)
    return _save_rest(folder, config, bundle.neural_renderer, bundle.identities, bundle.info)


def save_renderer(folder: Path, renderer: NeuralRenderer, identities: Identities, info: dict[str, Any]) -> Path:
    """Write a neural renderer with the identities it draws, without encoder and decoder."""
    return _save_rest(folder, {}, renderer, identities, info)


def _save_rest(
    folder: Path, config: dict[str, Any], renderer: NeuralRenderer | None, identities: Identities, info: dict[str, Any]
) -> Path:
    if renderer is not None:
        config["renderer"] = asdict(renderer.config)
        _save_part(folder, "renderer", renderer)
    _save_part(folder, "identities", nn.ModuleDict(identities))
    config |= {"identities": {name: identity.names for name, identity in identities.items()}, "info": info}
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps({"format": FORMAT, **config}, indent=1))
    return folder


def _save_part(folder: Path, name: str, module: nn.Module) -> None:
    half = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in module.state_dict().items()}
    with replacing(make_folder(folder) / f"{name}.safetensors") as temporary:
        save_file(half, temporary)
        temporary.chmod(0o644)


def load_bundle(folder: Path = DEFAULT_WEIGHTS, *, device: torch.device | str = "cpu") -> Bundle:
    """Load all networks in float32, in evaluation mode, on ``device``.

    Raises:
        WeightsError: files are missing, of another version, or do not fit one another.
    """
    folder = Path(folder)
    config = read_config(folder)
    with explaining(folder / "config.json"):
        decoder, encoder = RigDecoder(decoder_config(folder, config)), Encoder(encoder_config(folder, config))
    _load_part(encoder, folder / "encoder.safetensors", device)
    _load_part(decoder, folder / "decoder.safetensors", device)
    renderer, identities = _load_rest(folder, config, device)
    encoder = encoder.to(memory_format=torch.channels_last)
    return Bundle(encoder, decoder, config["info"], renderer, identities, bundle_id(folder))


def load_encoder(folder: Path = DEFAULT_WEIGHTS, *, device: torch.device | str = "cpu") -> Encoder:
    """Load the encoder alone, as :func:`load_bundle` does: the other files may be missing.

    Raises:
        WeightsError: config.json or the encoder's file is missing, of another version, or does not fit.
    """
    config = read_config(Path(folder))
    with explaining(Path(folder) / "config.json"):
        encoder = Encoder(encoder_config(Path(folder), config))
    _load_part(encoder, Path(folder) / "encoder.safetensors", device)
    return encoder.to(memory_format=torch.channels_last)


def load_renderer(folder: Path, *, device: torch.device | str = "cpu") -> tuple[NeuralRenderer, Identities]:
    """The neural renderer of a bundle or of a run of training.train_rig2img, and the identities it draws.

    Raises:
        WeightsError: there is none, or files are damaged.
    """
    renderer, identities = _load_rest(Path(folder), read_config(Path(folder)), device)
    if renderer is None:
        raise WeightsError("{} holds no neural renderer: give a run of training.train_rig2img.", folder)
    return renderer, identities


def _load_rest(
    folder: Path, config: dict[str, Any], device: torch.device | str
) -> tuple[NeuralRenderer | None, Identities]:
    renderer = None
    known = known_identities(folder, config)
    with explaining(folder / "config.json"):
        if config.get("renderer"):
            renderer = NeuralRenderer(renderer_config(config["renderer"]))
    if renderer is not None:
        _load_part(renderer, folder / "renderer.safetensors", device)
        renderer = renderer.to(memory_format=torch.channels_last)
    state = _read_state(folder / "identities.safetensors")
    identities = nn.ModuleDict({name: _empty_identity(controls, name, state) for name, controls in known.items()})
    _load_part(identities, folder / "identities.safetensors", device)
    return renderer, dict(identities.items())  # type: ignore[arg-type]


def _empty_identity(controls: tuple[str, ...], name: str, state: Mapping[str, Tensor]) -> Identity:
    code, pose = state.get(f"{name}.code"), state.get(f"{name}.pose")
    if code is None or pose is None:
        raise WeightsError("identities.safetensors lacks {}, unlike config.json: take the whole bundle again.", name)
    return Identity(controls, torch.zeros(len(controls), len(ARKIT)), code_size=len(code), pose_size=len(pose))


def _read_state(path: Path) -> dict[str, Tensor]:
    half = np.dtype(np.float16)
    return {k: torch.tensor(v.astype(np.float32) if v.dtype == half else v) for k, v in read_state(path).items()}


def _load_part(module: nn.Module, path: Path, device: torch.device | str) -> None:
    state = _read_state(path)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise WeightsError(
            "{} does not fit its config.json ({}): take all files from one bundle.", path, detail
        ) from error
    module.requires_grad_(False).eval().to(device)
