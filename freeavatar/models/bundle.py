"""A bundle: a folder of networks that belong together, opened for inference.

``encoder``, ``decoder`` and ``identities`` (code and controls of the avatars that were met) are always there;
``renderer``, the neural renderer, is where the rig decoder was trained by perception, and its identity encoder is used.
The weights are safetensors, the networks graphs beside them. :mod:`freeavatar.networks` has the same in torch.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from freeavatar.errors import WeightsError
from freeavatar.files import file_digest, is_installed
from freeavatar.models.config import decoder_config, encoder_config, graph_settings, known_identities, read_config
from freeavatar.models.decoder import RigDecoder
from freeavatar.models.encoder import Encoder
from freeavatar.models.graphs import GRAPHS, graph_path, is_current, open_graph, weights_path
from freeavatar.models.identity import Identities, Identity, IdentityEncoder

DEFAULT_WEIGHTS = Path(__file__).parents[1] / "weights" / "default"

TORCH_PACKAGES = ("torch", "torchvision", "timm", "onnx", "onnxscript")
"""What training, and writing graphs, take besides what animating does."""


@dataclass(frozen=True)
class Bundle:
    """Networks that belong together."""

    encoder: Encoder
    decoder: RigDecoder
    info: dict[str, Any] = field(default_factory=dict)
    """What config.json says of their training."""
    identity_encoder: IdentityEncoder | None = None
    """Where the bundle has a neural renderer."""
    identities: Identities = field(default_factory=dict)
    """Of the avatars that were met in training."""
    id: str = "unsaved"
    """Twelve hex digits of what it was loaded from, for results to name."""
    device: str = "cpu"
    """Where it runs, as :func:`freeavatar.models.choose_device` says."""

    def check(self) -> None:
        """Read every network now.

        Raises:
            WeightsError: a graph is damaged, or does not run on the device.
        """
        for network in (self.encoder, self.decoder, self.identity_encoder):
            if network is not None:
                network.graph.check()


def load_bundle(folder: Path = DEFAULT_WEIGHTS, *, device: str = "cpu") -> Bundle:
    """Open all networks; each is read at first use.

    Raises:
        WeightsError: files are missing, of another version, or do not fit one another.
        InputError: there is no such device.
    """
    folder = Path(folder)
    config = read_config(folder)
    settings, made = graph_settings(folder, config), decoder_config(folder, config)
    decoder = RigDecoder(made, open_graph(folder, "decoder", settings["decoder"], device))
    looking = None
    if "identity" in settings:
        looking = IdentityEncoder(open_graph(folder, "identity", settings["identity"], device))
    identities = _load_identities(folder, known_identities(folder, config))
    encoder = load_encoder(folder, device=device)
    return Bundle(encoder, decoder, config["info"], looking, identities, bundle_id(folder), device)


def load_encoder(folder: Path = DEFAULT_WEIGHTS, *, device: str = "cpu") -> Encoder:
    """Open the encoder alone, as :func:`load_bundle` does: the other files may be missing.

    Raises:
        WeightsError: config.json or a file of the encoder is missing, of another version, or does not fit.
        InputError: there is no such device.
    """
    config = read_config(Path(folder))
    made = encoder_config(Path(folder), config)
    return Encoder(made, open_graph(Path(folder), "encoder", config["encoder"], device))


def _load_identities(folder: Path, known: dict[str, tuple[str, ...]]) -> Identities:
    path = folder / "identities.safetensors"
    state = read_state(path) if known else {}
    try:
        return {
            name: Identity(controls, *(state[f"{name}.{part}"].astype(np.float32) for part in ("code", "drive")))
            for name, controls in known.items()
        }
    except KeyError as error:
        raise WeightsError(
            "identities.safetensors lacks {}, unlike config.json: take the whole bundle again.", str(error).strip("'")
        ) from error


def check_parts(folder: Path) -> dict[str, Any]:
    """See that a bundle's files of weights are whole, with or without graphs, and return its config.json.

    Whether the weights have the shapes that config.json asks for shows when :mod:`freeavatar.networks` loads them.

    Raises:
        WeightsError: files are missing or damaged, of another version, or the decoder takes other features than the
            encoder gives.
    """
    config = read_config(folder)
    encoder_config(folder, config)
    decoder_config(folder, config)
    for part in ("encoder", "decoder", "identities", *(["renderer"] if config.get("renderer") else [])):
        read_state(folder / f"{part}.safetensors")
    return config


def read_state(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a part of a bundle by name.

    Raises:
        WeightsError: it is missing or damaged.
    """
    if not path.is_file():
        raise WeightsError("{} does not exist: give a folder with config.json and all of its .safetensors files.", path)
    try:
        return load_file(path)
    except Exception as error:
        detail = str(error).splitlines()[-1].strip()
        raise WeightsError("{} is damaged ({}): take all files from one bundle.", path, detail) from error


def complete_bundle(folder: Path) -> list[Path]:
    """Write the graphs that a bundle lacks, or that were made from other weights; the files written.

    Raises:
        WeightsError: the bundle is damaged, or torch is needed and not installed.
        InputError: a file cannot be written.
    """
    due = lacking_graphs(folder)
    if not due:
        return []
    if missing := missing_packages():
        raise WeightsError(
            "writing {} takes packages that are not installed ({}): install requirements.txt or the extra `train`, or "
            "take a bundle that has it.",
            graph_path(folder, due[0]),
            ", ".join(missing),
        )
    from freeavatar.networks.convert import write_graph

    return [write_graph(folder, name) for name in due]


def lacking_graphs(folder: Path) -> list[str]:
    """Names of the graphs that a bundle lacks, or that were made from other weights.

    Raises:
        WeightsError: config.json is missing or damaged.
    """
    settings = graph_settings(folder, read_config(folder))
    return [
        name for name in GRAPHS
        if name in settings and weights_path(folder, name).is_file() and not is_current(folder, name, settings[name])
    ]  # fmt: skip


def missing_packages() -> list[str]:
    """Those of :data:`TORCH_PACKAGES` that are not installed."""
    return [name for name in TORCH_PACKAGES if not is_installed(name)]


def bundle_id(folder: Path) -> str:
    """Twelve hex digits of a bundle's weights and config.json.

    Raises:
        WeightsError: there are none.
    """
    digest = hashlib.sha256()
    try:
        for path in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
            digest.update(f"{path.name} {file_digest(path)}\n".encode())
    except OSError as error:
        raise WeightsError(
            "{} holds no weights ({}): give a bundle's folder, or a name that `models list` shows.",
            folder,
            error.strerror,
        ) from error
    return digest.hexdigest()[:12]
