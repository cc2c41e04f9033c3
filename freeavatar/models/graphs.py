"""Graphs of a bundle's networks, as ONNX Runtime runs them.

A graph is a file beside the safetensors and holds no weights: it names their places in the safetensors' file. It says
what it was made from, so that it does not run on others.
"""

import hashlib
import json
import os
import shlex
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from freeavatar.errors import WeightsError
from freeavatar.files import file_digest
from freeavatar.models.device import parse_device, providers_of

GRAPHS = {"encoder": "encoder", "decoder": "decoder", "identity": "renderer"}
"""Which safetensors a graph reads; the identity encoder is a part of the neural renderer."""
VERSION = 1
"""Of what the graphs take and give."""
_MOST_THREADS = 8


class Graph:
    """A network, opened at first use; one may serve every thread of a process."""

    def __init__(self, path: Path, device: str) -> None:
        self._path, self._device = path, device
        self._lock = threading.Lock()
        self._session: onnxruntime.InferenceSession | None = None

    def run(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs for inputs by name, float32.

        Raises:
            WeightsError: ONNX Runtime does not take the file, or does not run it.
        """
        session = self._open()
        try:
            return session.run(None, inputs)
        except Exception as error:
            raise self._unfit(error) from error

    def check(self) -> list[str]:
        """Open it now; ONNX Runtime's providers that run it, best first.

        Raises:
            WeightsError: ONNX Runtime does not take the file.
        """
        return self._open().get_providers()

    def _open(self) -> onnxruntime.InferenceSession:
        with self._lock:
            if self._session is None:
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = min(_MOST_THREADS, os.cpu_count() or 1)
                # The other cores are the detector's: threads would spin between frames.
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                providers = providers_of(self._device)
                try:
                    self._session = onnxruntime.InferenceSession(self._path, options, providers=providers)
                except Exception as error:
                    if self._device != "cpu":
                        raise self._unfit(error) from error
                    raise WeightsError("{} is damaged ({}): take the whole bundle again.", self._path, error) from error
            return self._session

    def _unfit(self, error: Exception) -> WeightsError:
        return WeightsError(
            "{} does not run on {} ({}): free memory there, use another --device, or take the whole bundle again.",
            self._path,
            self._device,
            str(error).splitlines()[0],
        )


def graph_path(folder: Path, name: str) -> Path:
    """Where a bundle keeps the graph of a network."""
    return folder / f"{name}.onnx"


def weights_path(folder: Path, name: str) -> Path:
    """The safetensors that a graph reads."""
    return folder / f"{GRAPHS[name]}.safetensors"


def graph_key(folder: Path, name: str, settings: Mapping[str, Any]) -> str:
    """What a graph is made from: the settings of its network, as config.json has them, and the file of the weights.

    Raises:
        WeightsError: that file is not there.
    """
    weights = weights_path(folder, name)
    if not weights.is_file():
        raise WeightsError(
            "{} does not exist: give a folder with config.json and all of its .safetensors files.", weights
        )
    text = json.dumps([VERSION, settings, file_digest(weights)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_current(folder: Path, name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a bundle has the graph of a network, made from the weights that lie beside it.

    Raises:
        WeightsError: there are no weights.
    """
    key, path = graph_key(folder, name, settings), graph_path(folder, name)
    return path.is_file() and key.encode() in path.read_bytes()


def open_graph(folder: Path, name: str, settings: Mapping[str, Any], device: str) -> Graph:
    """The graph of a network.

    Raises:
        WeightsError: it is missing, or was made from other weights or settings.
        InputError: there is no such device.
    """
    parse_device(device)
    if not is_current(folder, name, settings):
        raise WeightsError(
            "{} is missing or was made from other weights: take all files from one bundle, or write it by `freeavatar "
            "models convert {}` (in a clone `python -m freeavatar ...`).",
            graph_path(folder, name),
            shlex.quote(str(folder)),
        )
    return Graph(graph_path(folder, name), device)
