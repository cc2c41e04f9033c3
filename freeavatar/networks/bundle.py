"""Weights on disk: a folder of safetensors that belong together, and config.json.

``encoder``, ``decoder`` and ``identities`` (code and maps of the avatars that were met) are always there;
``renderer``, the neural renderer, is where the rig decoder was trained by perception.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from freeavatar.errors import WeightsError
from freeavatar.files import make_folder, replacing
from freeavatar.models.decoder import DecoderConfig, RigDecoder
from freeavatar.models.encoder import Encoder, EncoderConfig
from freeavatar.models.identity import Identities, Identity
from freeavatar.models.neural_renderer import NeuralRenderer, renderer_config
from freeavatar.rig import ARKIT

FORMAT = 2
"""Version of the layout below."""
DEFAULT_WEIGHTS = Path(__file__).parents[1] / "weights" / "default"


@dataclass(frozen=True)
class Bundle:
    """Networks that belong together, ready for inference."""

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
    config = _read_config(folder)
    with _explaining(folder / "config.json"):
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config["decoder"].items()}
        encoder, decoder = Encoder(_encoder_config(config)), RigDecoder(DecoderConfig(**fields))
    if encoder.config.feature_size != decoder.config.feature_size:
        raise WeightsError(
            "{}: the encoder gives {} features and the decoder takes {}: take both from one bundle.",
            folder,
            encoder.config.feature_size,
            decoder.config.feature_size,
        )
    if not set(decoder.config.controls) <= set(ARKIT):
        strange = sorted(set(decoder.config.controls) - set(ARKIT))
        raise WeightsError("{} drives {}: expected ARKit's blendshapes alone.", folder, ", ".join(strange[:4]))
    _load_part(encoder, folder / "encoder.safetensors", device)
    _load_part(decoder, folder / "decoder.safetensors", device)
    renderer, identities = _load_rest(folder, config, device)
    encoder = encoder.to(memory_format=torch.channels_last)
    return Bundle(encoder, decoder, config["info"], renderer, identities, bundle_id(folder))


def bundle_id(folder: Path) -> str:
    """Twelve hex digits of a bundle's weights and config.json.

    Raises:
        WeightsError: there are none.
    """
    parts = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    try:
        return _digest(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in parts))
    except OSError as error:
        raise WeightsError(
            "{} holds no weights ({}): give a bundle's folder, or a name that `models list` shows.",
            folder,
            error.strerror,
        ) from error


@lru_cache(maxsize=64)
def _digest(parts: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, *_ in parts:
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def load_encoder(folder: Path = DEFAULT_WEIGHTS, *, device: torch.device | str = "cpu") -> Encoder:
    """Load the encoder alone, as :func:`load_bundle` does: the other files may be missing.

    Raises:
        WeightsError: config.json or the encoder's file is missing, of another version, or does not fit.
    """
    config = _read_config(Path(folder))
    with _explaining(Path(folder) / "config.json"):
        encoder = Encoder(_encoder_config(config))
    _load_part(encoder, Path(folder) / "encoder.safetensors", device)
    return encoder.to(memory_format=torch.channels_last)


def load_renderer(folder: Path, *, device: torch.device | str = "cpu") -> tuple[NeuralRenderer, Identities]:
    """The neural renderer of a bundle or of a run of training.train_rig2img, and the identities it draws.

    Raises:
        WeightsError: there is none, or files are damaged.
    """
    renderer, identities = _load_rest(Path(folder), _read_config(Path(folder)), device)
    if renderer is None:
        raise WeightsError("{} holds no neural renderer: give a run of training.train_rig2img.", folder)
    return renderer, identities


def _load_rest(
    folder: Path, config: dict[str, Any], device: torch.device | str
) -> tuple[NeuralRenderer | None, Identities]:
    renderer = None
    with _explaining(folder / "config.json"):
        known = {name: tuple(controls) for name, controls in config["identities"].items()}
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
    if not path.is_file():
        raise WeightsError("{} does not exist: give a folder with config.json and all of its .safetensors files.", path)
    try:
        return {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    except Exception as error:
        detail = str(error).splitlines()[-1].strip()
        raise WeightsError("{} is damaged ({}): take all files from one bundle.", path, detail) from error


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


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise WeightsError("{} holds no weights: expected config.json and .safetensors files.", folder)
    with _explaining(path):
        config = json.loads(path.read_text())
        version = config["format"]
    if version != FORMAT:
        raise WeightsError("{} holds weights of format {}, expected {}: train them again.", folder, version, FORMAT)
    return config


def _encoder_config(config: dict[str, Any]) -> EncoderConfig:
    """The encoder's settings; bundles from before it looked at cells do not name them."""
    return EncoderConfig(**{"has_cells": False, **config["encoder"]})


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Turn what a damaged config.json raises into a WeightsError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise WeightsError("{} is damaged ({}): take the whole bundle again.", path, error) from error
