"""Weights on disk: a folder with encoder, decoder and config.json, that belong together."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from freeavatar.errors import WeightsError
from freeavatar.files import replacing
from freeavatar.models.decoder import DecoderConfig, RigDecoder
from freeavatar.models.encoder import Encoder, EncoderConfig
from freeavatar.rig import ARKIT

FORMAT = 1
"""Version of the layout below."""
DEFAULT_WEIGHTS = Path(__file__).parents[1] / "weights" / "default"


@dataclass(frozen=True)
class Bundle:
    """Encoder and decoder, ready for inference."""

    encoder: Encoder
    decoder: RigDecoder
    info: dict[str, Any]
    """What config.json says of their training."""

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that differ where weights do."""
        digest = hashlib.sha256()
        for module in (self.encoder, self.decoder):
            digest.update(json.dumps(asdict(module.config), sort_keys=True).encode())
            for name, value in sorted(module.state_dict().items()):
                digest.update(name.encode() + value.cpu().numpy().tobytes())
        return digest.hexdigest()[:12]


def save_bundle(folder: Path, encoder: Encoder, decoder: RigDecoder, info: dict[str, Any]) -> Path:
    """Write a bundle in half precision and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in (("encoder", encoder), ("decoder", decoder)):
        half = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in module.state_dict().items()}
        with replacing(folder / f"{name}.safetensors") as temporary:
            save_file(half, temporary)
            temporary.chmod(0o644)
    config = {"format": FORMAT, "encoder": asdict(encoder.config), "decoder": asdict(decoder.config), "info": info}
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=1))
    return folder


def _load_state(module: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"{path} does not exist: give a folder with config.json, encoder and decoder.")
    try:
        state = {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
        module.load_state_dict(state)
    except Exception as error:
        detail = str(error).splitlines()[-1].strip()
        raise WeightsError(
            f"{path} does not fit its config.json ({detail}): take all files from one bundle."
        ) from error


def load_bundle(folder: Path = DEFAULT_WEIGHTS, *, device: torch.device | str = "cpu") -> Bundle:
    """Load encoder and decoder in float32, in evaluation mode, on ``device``.

    Raises:
        WeightsError: files are missing, of another version, or do not fit one another.
    """
    encoder, decoder, info = _build(Path(folder))
    if encoder.config.feature_size != decoder.config.feature_size:
        raise WeightsError(
            f"{folder}: the encoder gives {encoder.config.feature_size} features and the decoder takes "
            f"{decoder.config.feature_size}: take both from one bundle."
        )
    if not set(decoder.config.controls) <= set(ARKIT):
        strange = sorted(set(decoder.config.controls) - set(ARKIT))
        raise WeightsError(f"{folder} drives {', '.join(strange[:4])}: expected ARKit's blendshapes alone.")
    for name, module in (("encoder", encoder), ("decoder", decoder)):
        _load_state(module, Path(folder) / f"{name}.safetensors")
        module.requires_grad_(False).eval().to(device)
    return Bundle(encoder.to(memory_format=torch.channels_last), decoder, info)


def _build(folder: Path) -> tuple[Encoder, RigDecoder, dict[str, Any]]:
    """Untrained modules of the shapes config.json asks for, and what it says of their training."""
    path = folder / "config.json"
    if not path.is_file():
        raise WeightsError(f"{folder} holds no weights: expected config.json and two .safetensors files.")
    try:
        config = json.loads(path.read_text())
        version = config["format"]
        if version == FORMAT:
            fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config["decoder"].items()}
            decoder = RigDecoder(DecoderConfig(**fields))
            return Encoder(EncoderConfig(**config["encoder"])), decoder, config["info"]
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise WeightsError(f"{path} is damaged ({error}): take the whole bundle again.") from error
    raise WeightsError(f"{folder} has weights of format {version}, expected {FORMAT}: train or download them again.")
