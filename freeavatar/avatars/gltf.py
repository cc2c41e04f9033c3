"""GLB files as data: opened and checked, values of accessors, names of morph targets."""

import json
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from freeavatar.errors import AvatarError
from freeavatar.files import replacing

MAX_VERTICES = 200_000
"""Heads with more vertices are refused: the targets alone would need gigabytes."""
UNDERSTOOD = frozenset({"KHR_mesh_quantization", "KHR_materials_unlit", "KHR_materials_emissive_strength"})
"""Extensions a file may require."""
_DTYPES: dict[int, Any] = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
_LISTS = (
    "accessors",
    "animations",
    "bufferViews",
    "buffers",
    "images",
    "materials",
    "meshes",
    "nodes",
    "scenes",
    "skins",
    "textures",
)
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Part(dict[str, Any]):
    """A JSON object of a glTF file, whose entries are attributes as well.

    One that is missing reads as None, and is taken out by being set to None.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if value is None:
            self.pop(name, None)
        else:
            self[name] = value


class Gltf(Part):
    """The description of a file, whose lists are there even if they are empty, and its binary chunk."""

    def __init__(self, description: dict[str, Any], data: bytes) -> None:
        super().__init__(description)
        for name in _LISTS:
            if self.setdefault(name, []) is None:
                self[name] = []
        object.__setattr__(self, "data", data)

    data: bytes
    """What the buffer holds."""


def _view(gltf: Gltf, view: int, offset: int, count: int, width: int, dtype: type) -> np.ndarray:
    item = gltf.bufferViews[view]
    size = np.dtype(dtype).itemsize * width
    stride = item.byteStride or size
    start = (item.byteOffset or 0) + offset
    if stride < size or count < 0:
        raise ValueError(f"an accessor has {count} elements {stride} bytes apart")
    raw = np.frombuffer(gltf.data, np.uint8, count=stride * (count - 1) + size if count else 0, offset=start)
    rows = np.lib.stride_tricks.as_strided(raw, (count, size), (stride, 1))
    return np.ascontiguousarray(rows).view(dtype).reshape(count, width)


def read_accessor(gltf: Gltf, index: int) -> np.ndarray:
    """Values of an accessor, ``(count, width)``: sparse ones filled in, normalised ones as float32."""
    item = gltf.accessors[index]
    dtype, width = _DTYPES[item.componentType], _WIDTHS[item.type]
    if item.bufferView is None:
        values = np.zeros((item.count, width), dtype)
    else:
        values = _view(gltf, item.bufferView, item.byteOffset or 0, item.count, width, dtype)
    if item.sparse:
        where, what, count = item.sparse.indices, item.sparse["values"], item.sparse.count
        rows = _view(gltf, where.bufferView, where.byteOffset or 0, count, 1, _DTYPES[where.componentType])
        values[rows[:, 0]] = _view(gltf, what.bufferView, what.byteOffset or 0, count, width, dtype)
    if item.normalized and dtype is not np.float32:
        values = np.maximum(values.astype(np.float32) / np.iinfo(dtype).max, -1)
    return values


def open_glb(source: Path) -> Gltf:
    """Read a self-contained GLB.

    What its description tells, such as too many vertices, is checked before its data are read.

    Raises:
        AvatarError: it cannot be read, is incomplete, too large, or needs an extension that is not understood.
    """
    try:
        with source.open("rb") as file:
            description = _read_description(file, source)
            _check_description(description, source)
            data = _read_data(file)
    except OSError as error:
        raise AvatarError(
            "Cannot read {} ({}): give a .glb that exists, or a name listed by `avatars`.", source, error.strerror
        ) from error
    if data is None:
        raise _damaged(source, "no data")
    if (description["buffers"][0].byteLength or 0) > len(data):
        raise _cut_short(source)
    return Gltf(description, data)


def _read_data(file: BinaryIO) -> bytes | None:
    """The binary chunk, which follows the description; None if there is none."""
    head = file.read(8)
    if len(head) < 8 or head[4:] != b"BIN\0":
        return None
    (length,) = struct.unpack("<I", head[:4])
    return file.read(length)


def _read_description(file: BinaryIO, source: Path) -> Part:
    """The file's JSON chunk."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise AvatarError("{} is empty: copy or download the avatar again.", source.name)
    head = file.read(20)
    if len(head) < 20 or head[:8] != b"glTF\2\0\0\0":
        raise AvatarError("{} is not a glTF 2.0 binary file: export the avatar as .glb.", source.name)
    total, length = struct.unpack("<II", head[8:16])
    if max(total, 20 + length) > size:
        raise _cut_short(source)
    try:
        description = json.loads(file.read(length), parse_constant=_no_number, object_hook=Part)
    except (ValueError, RecursionError) as error:
        raise _damaged(source, error) from error
    if not isinstance(description, Part):
        raise _damaged(source, "no description")
    return description


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _check_description(description: dict[str, Any], source: Path) -> None:
    foreign = sorted({str(name) for name in description.get("extensionsRequired") or ()} - UNDERSTOOD)
    if foreign:
        raise AvatarError(
            "{} needs {}, which is not understood here: export it without compression.", source.name, ", ".join(foreign)
        )
    try:
        buffers = description.get("buffers") or ()
        if not buffers or any(buffer.get("uri") for buffer in buffers):
            raise AvatarError(
                "{} keeps its data in other files: export the avatar as one self-contained .glb.", source.name
            )
        meshes = [description["meshes"][n["mesh"]] for n in description.get("nodes") or () if "mesh" in n]
        places = [primitive["attributes"]["POSITION"] for mesh in meshes for primitive in mesh["primitives"]]
        total = sum(description["accessors"][place]["count"] for place in places)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise _damaged(source, repr(error)) from error
    if total > MAX_VERTICES:
        raise AvatarError(
            "{} has {:,} vertices and at most {:,} can be driven: decimate it first.", source.name, total, MAX_VERTICES
        )


def _cut_short(source: Path) -> AvatarError:
    return AvatarError("{} is cut short: copy or download the avatar again.", source.name)


def _damaged(source: Path, reason: object) -> AvatarError:
    return AvatarError("{} is damaged ({}): export the avatar again.", source.name, reason)


def write_glb(gltf: Gltf, data: bytes | bytearray, path: Path) -> None:
    """Write a GLB whose binary chunk is ``data``; the file is replaced at once when it is complete.

    Raises:
        InputError: the file cannot be written.
    """
    data = bytes(data) + bytes(-len(data) % 4)
    gltf.buffers[0].byteLength = len(data)
    described = {name: value for name, value in gltf.items() if value or name not in _LISTS}
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(data)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<4sIII4s", b"glTF", 2, size, len(text), b"JSON"))
        file.write(text)
        file.write(struct.pack("<I4s", len(data), b"BIN\0"))
        file.write(data)


def target_names(mesh: Part) -> tuple[str, ...]:
    """Name of each morph target; some exporters put them on the primitive. Unnamed targets are ``""``."""
    if not mesh.primitives:
        return ()
    primitive = mesh.primitives[0]
    count = len(primitive.targets or ())
    extras = [extras for extras in (mesh.extras, primitive.extras) if isinstance(extras, dict)]
    names: list[str] = next((e["targetNames"] for e in extras if e.get("targetNames")), [])
    return tuple([*map(str, names), *[""] * count][:count])
