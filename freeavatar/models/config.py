"""config.json of a bundle: which networks belong together."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from freeavatar.errors import WeightsError
from freeavatar.models.decoder import DecoderConfig
from freeavatar.models.encoder import EncoderConfig
from freeavatar.rig import ARKIT

FORMAT = 2
"""Version of the layout."""


def read_config(folder: Path) -> dict[str, Any]:
    """``encoder``, ``decoder``, ``renderer``, ``identities`` and ``info``, as far as the folder has them.

    Raises:
        WeightsError: there is none, it is damaged, or of another version.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise WeightsError("{} holds no weights: expected config.json and .safetensors files.", folder)
    with explaining(path):
        config = json.loads(path.read_text())
        version = config["format"]
    if version != FORMAT:
        raise WeightsError("{} holds weights of format {}, expected {}: train them again.", folder, version, FORMAT)
    return config


def encoder_config(folder: Path, config: dict[str, Any]) -> EncoderConfig:
    """The encoder's settings; bundles from before it looked at cells do not name them.

    Raises:
        WeightsError: they are damaged.
    """
    with explaining(folder / "config.json"):
        return EncoderConfig(**{"has_cells": False, **config["encoder"]})


def decoder_config(folder: Path, config: dict[str, Any]) -> DecoderConfig:
    """The decoder's settings.

    Raises:
        WeightsError: they are damaged, do not fit the encoder's, or drive another rig than ARKit's.
    """
    with explaining(folder / "config.json"):
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config["decoder"].items()}
        made = DecoderConfig(**fields)
        given = config["encoder"]["feature_size"]
    if given != made.feature_size:
        raise WeightsError(
            "{}: the encoder gives {} features and the decoder takes {}: take both from one bundle.",
            folder,
            given,
            made.feature_size,
        )
    if not set(made.controls) <= set(ARKIT):
        strange = sorted(set(made.controls) - set(ARKIT))
        raise WeightsError("{} drives {}: expected ARKit's blendshapes alone.", folder, ", ".join(strange[:4]))
    return made


def graph_settings(folder: Path, config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What graphs are made from, by the name of the graph: those of the networks a bundle has.

    Raises:
        WeightsError: they are damaged.
    """
    with explaining(folder / "config.json"):
        found = {name: config[name] for name in ("encoder", "decoder") if name in config}
        return found | ({"identity": config["renderer"]["identity"]} if config.get("renderer") else {})


def known_identities(folder: Path, config: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of the avatars that were met in training, with those of their controls.

    Raises:
        WeightsError: they are damaged.
    """
    with explaining(folder / "config.json"):
        return {name: tuple(controls) for name, controls in config["identities"].items()}


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn what a damaged config.json raises into a WeightsError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise WeightsError("{} is damaged ({}): take the whole bundle again.", path, error) from error
