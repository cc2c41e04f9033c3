"""From torch to the graphs that :mod:`freeavatar.models` runs.

A graph follows from a network's settings alone: every weight in it is a place in the safetensors and a cast to float32,
which ONNX Runtime does once when it opens the file, and then fuses what it can.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import onnx
import onnxscript  # noqa: F401  # torch's exporter needs it
import torch
from torch import Tensor, nn

from freeavatar.errors import WeightsError
from freeavatar.files import replacing
from freeavatar.models.bundle import read_state
from freeavatar.models.config import decoder_config, encoder_config, explaining, graph_settings, read_config
from freeavatar.models.decoder import DecoderConfig
from freeavatar.models.encoder import EncoderConfig
from freeavatar.models.graphs import graph_key, graph_path, weights_path
from freeavatar.models.identity import PORTRAIT_SIZE
from freeavatar.networks.decoder import RigDecoder
from freeavatar.networks.encoder import Encoder
from freeavatar.networks.identity import IdentityEncoder, IdentityEncoderConfig
from freeavatar.networks.neural_renderer import renderer_config

Config = EncoderConfig | DecoderConfig | IdentityEncoderConfig
_OPSET = 18
_TYPES = {"float16": onnx.TensorProto.FLOAT16, "float32": onnx.TensorProto.FLOAT}
"""Of weights that ONNX Runtime can read in place."""


def write_graph(folder: Path, name: str) -> Path:
    """Write the graph of a network beside its weights, and return the file.

    Args:
        folder: a bundle.
        name: one of :data:`freeavatar.models.graphs.GRAPHS`.

    Raises:
        WeightsError: the bundle is damaged, or its parts do not fit one another.
        InputError: the file cannot be written.
    """
    config, weights = read_config(folder), weights_path(folder, name)
    model = onnx.load_from_string(_export(_config_of(folder, name, config)))
    _point_at(model, weights)
    key = graph_key(folder, name, graph_settings(folder, config)[name])
    model.metadata_props.add(key="freeavatar", value=key)
    with replacing(graph_path(folder, name)) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        temporary.chmod(0o644)
    return graph_path(folder, name)


def _config_of(folder: Path, name: str, config: dict[str, Any]) -> Config:
    if name == "encoder":
        return encoder_config(folder, config)
    if name == "decoder":
        return decoder_config(folder, config)
    with explaining(folder / "config.json"):
        return renderer_config(config["renderer"]).identity


class _Look(nn.Module):
    """The identity encoder as the neural renderer's file has it, for the code alone."""

    def __init__(self, config: IdentityEncoderConfig) -> None:
        super().__init__()
        self.identity = IdentityEncoder(config)

    def forward(self, portrait: Tensor) -> Tensor:
        return self.identity(portrait).code


@lru_cache(maxsize=8)
def _export(config: Config) -> bytes:
    """A graph without weights; its initializers go by the names of the network's."""
    rows = {0: torch.export.Dim("batch")}
    shapes: tuple[Any, ...]
    with torch.random.fork_rng(devices=[]):
        if isinstance(config, EncoderConfig):
            network: nn.Module = Encoder(config)
            inputs = {"views": torch.rand(2, 1, config.image_size, config.image_size)}
            shapes, outputs = (rows,), ["feature", "embedding"]
        elif isinstance(config, DecoderConfig):
            network, shapes, outputs = RigDecoder(config), (rows, None), ["rig"]
            inputs = {"feature": torch.rand(2, config.feature_size), "code": torch.rand(1, config.code_size)}
        else:
            network, shapes, outputs = _Look(config), (None,), ["code"]
            inputs = {"portrait": torch.rand(1, 3, PORTRAIT_SIZE, PORTRAIT_SIZE)}
    program = torch.onnx.export(
        network.eval(), tuple(inputs.values()), input_names=list(inputs), output_names=outputs, dynamic_shapes=shapes,
        dynamo=True, optimize=False, opset_version=_OPSET, external_data=False, verbose=False,
    )  # fmt: skip
    assert program is not None
    model = program.model_proto
    for initializer in model.graph.initializer:
        initializer.ClearField("raw_data")
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
        if node.op_type == "CastLike":  # all are float32; like an input, they would be no constants to ONNX Runtime
            node.CopyFrom(onnx.helper.make_node("Cast", node.input[:1], node.output, to=onnx.TensorProto.FLOAT))
    model.graph.ClearField("value_info")
    model.ClearField("metadata_props")
    return model.SerializeToString()


def _point_at(model: onnx.ModelProto, weights: Path) -> None:
    """Make every initializer a place in a file, cast to float32 where it is of half precision."""
    state, begin, header = read_state(weights), *_header(weights)
    stored, casts = [], []
    for initializer in model.graph.initializer:
        name, found = initializer.name, state.get(initializer.name)
        if found is None or found.dtype.name not in _TYPES or list(found.shape) != list(initializer.dims):
            wrong = f"{name} is {found.dtype}" if found is not None and found.dtype.name not in _TYPES else name
            raise WeightsError("{} does not fit its config.json ({}): take all files from one bundle.", weights, wrong)
        first, last = header[name]["data_offsets"]
        is_half = found.dtype == "float16"
        place = onnx.TensorProto(
            name=f"{name}.half" if is_half else name, data_type=_TYPES[found.dtype.name], dims=initializer.dims,
            data_location=onnx.TensorProto.EXTERNAL,
        )  # fmt: skip
        for key, value in (("location", weights.name), ("offset", begin + first), ("length", last - first)):
            place.external_data.add(key=key, value=str(value))
        stored.append(place)
        if is_half:
            casts.append(onnx.helper.make_node("Cast", [place.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    for field, values in (("initializer", stored), ("node", nodes)):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(values)


def _header(weights: Path) -> tuple[int, dict[str, Any]]:
    """Where the values of a safetensors begin, and what lies where from there on."""
    with weights.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return 8 + size, json.loads(file.read(size))
