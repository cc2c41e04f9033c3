"""GLB files as data: opened and checked, values of accessors, names of morph targets."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
from pygltflib import GLTF2

from freeavatar.errors import AvatarError

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
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def _view(gltf: GLTF2, view: int, offset: int, count: int, width: int, dtype: type) -> np.ndarray:
    item = gltf.bufferViews[view]
    size = np.dtype(dtype).itemsize * width
    stride = item.byteStride or size
    start = (item.byteOffset or 0) + offset
    raw = np.frombuffer(gltf.binary_blob(), np.uint8, count=stride * (count - 1) + size if count else 0, offset=start)
    rows = np.lib.stride_tricks.as_strided(raw, (count, size), (stride, 1))
    return np.ascontiguousarray(rows).view(dtype).reshape(count, width)


def read_accessor(gltf: GLTF2, index: int) -> np.ndarray:
    """Values of an accessor, ``(count, width)``: sparse ones filled in, normalised ones as float32."""
    item = gltf.accessors[index]
    dtype, width = _DTYPES[item.componentType], _WIDTHS[item.type]
    if item.bufferView is None:
        values = np.zeros((item.count, width), dtype)
    else:
        values = _view(gltf, item.bufferView, item.byteOffset or 0, item.count, width, dtype)
    if item.sparse:
        where, what, count = item.sparse.indices, item.sparse.values, item.sparse.count
        rows = _view(gltf, where.bufferView, where.byteOffset or 0, count, 1, _DTYPES[where.componentType])
        values[rows[:, 0]] = _view(gltf, what.bufferView, what.byteOffset or 0, count, width, dtype)
    if item.normalized and dtype is not np.float32:
        values = np.maximum(values.astype(np.float32) / np.iinfo(dtype).max, -1)
    return values


def open_glb(source: Path) -> GLTF2:
    """Read a self-contained GLB.

    Raises:
        AvatarError: it cannot be read, is incomplete, or needs an extension that is not understood.
    """
    try:
        data = source.read_bytes()
    except OSError as error:
        raise AvatarError(
            f"Cannot read {source} ({error.strerror}): give a .glb that exists, or a name listed by `avatars`."
        ) from error
    if len(data) < 20 or data[:4] != b"glTF" or data[4:8] != b"\2\0\0\0":
        raise AvatarError(f"{source.name} is not a glTF 2.0 binary file: export the avatar as .glb.")
    if struct.unpack_from("<I", data, 8)[0] > len(data):
        raise AvatarError(f"{source.name} is cut short: copy or download the avatar again.")
    try:
        gltf = GLTF2.load_from_bytes(data)
    except (struct.error, ValueError, TypeError, LookupError, AttributeError) as error:
        raise AvatarError(f"{source.name} is damaged ({error}): export the avatar again.") from error
    if gltf is None or not gltf.buffers or gltf.buffers[0].uri or gltf.binary_blob() is None:
        raise AvatarError(f"{source.name} keeps its data in other files: export the avatar as one self-contained .glb.")
    if (gltf.buffers[0].byteLength or 0) > len(gltf.binary_blob()):
        raise AvatarError(f"{source.name} is cut short: copy or download the avatar again.")
    foreign = sorted(set(gltf.extensionsRequired or ()) - UNDERSTOOD)
    if foreign:
        raise AvatarError(
            f"{source.name} needs {', '.join(foreign)}, which is not understood here: export it without compression."
        )
    return gltf


def target_names(mesh: pygltflib.Mesh) -> tuple[str, ...]:
    """Name of each morph target; some exporters put them on the primitive. Unnamed targets are ``""``."""
    if not mesh.primitives:
        return ()
    primitive = mesh.primitives[0]
    count = len(primitive.targets or ())
    extras = [extras for extras in (mesh.extras, primitive.extras) if isinstance(extras, dict)]
    names: list[str] = next((e["targetNames"] for e in extras if e.get("targetNames")), [])
    return tuple([*map(str, names), *[""] * count][:count])
