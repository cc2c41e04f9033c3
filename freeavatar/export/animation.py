"""A glTF 2.0 animation while it is being made: key times, samplers, channels, and the data they refer to."""

from typing import Literal

import numpy as np

from freeavatar.avatars.gltf import Gltf, Part
from freeavatar.errors import InputError
from freeavatar.export.keys import needed_keys

FLOAT = 5126
"""glTF's number for 32-bit floats."""
Path = Literal["weights", "rotation", "translation"]
_KINDS = {"weights": "SCALAR", "rotation": "VEC4", "translation": "VEC3"}


def key_times(times: np.ndarray, name: str) -> np.ndarray:
    """Times of keys as glTF holds them, ``(T,)`` float32.

    Args:
        times: seconds, ``(T,)`` float64.
        name: whose they are, for the message.

    Raises:
        InputError: two are the same as float32.
    """
    found = times.astype(np.float32)
    if (np.diff(found) <= 0).any():
        raise InputError(
            "Two frames of {}'s performance are too close in time for a GLB: lower the frame rate or shorten the clip.",
            name,
        )
    return found


class Animation:
    """One linear animation of a file, and the file's binary chunk; both grow."""

    def __init__(self, gltf: Gltf, name: str, times: np.ndarray, *, most_error: float = 0.0) -> None:
        """Begin it.

        Args:
            gltf: the file; accessors and views are added to it.
            name: of the animation.
            times: of the frames, of :func:`key_times`, ``(T,)``.
            most_error: keys may be left out that interpolation gives within this, of weights or radians; 0 keeps all.
        """
        self.gltf, self.data = gltf, bytearray(gltf.data)
        self.part = Part(name=name, channels=[], samplers=[])
        """What belongs in the file's list of animations."""
        self._times, self._most_error = times, most_error
        self._accessors: dict[tuple[bytes, str], int] = {}

    def add_sampler(self, values: np.ndarray, path: Path, *, scale: float = 1.0) -> int:
        """Add the keys of something, each sampler as many as it needs; data that the file holds already are shared.

        Args:
            values: ``(T, N)`` weights, ``(T, 4)`` unit quaternions ``(x, y, z, w)``, or ``(T, 3)`` metres.
            path: what they are.
            scale: the values that mean as much as a weight of 1, for their error.

        Returns:
            Index of the sampler.
        """
        times, values = self._times, values.astype(np.float32)
        kept = needed_keys(times, values, self._most_error * scale, is_rotation=path == "rotation")
        times, values = times[kept], values[kept]
        source = self._add_accessor(times, "SCALAR")
        accessor = self.gltf.accessors[source]
        accessor.min, accessor.max = [float(times[0])], [float(times[-1])]
        self.part.samplers.append(Part(input=source, output=self._add_accessor(values, _KINDS[path])))
        return len(self.part.samplers) - 1

    def add_channel(self, sampler: int, node: int, path: Path) -> None:
        """Let a sampler move a node."""
        self.part.channels.append(Part(sampler=sampler, target=Part(node=node, path=path)))

    def _add_accessor(self, values: np.ndarray, kind: str) -> int:
        data = values.astype("<f4").tobytes()
        key = (data, kind)
        if key not in self._accessors:
            self.data += bytes(-len(self.data) % 4)
            self.gltf.bufferViews.append(Part(buffer=0, byteOffset=len(self.data), byteLength=len(data)))
            self.data += data
            view, count = len(self.gltf.bufferViews) - 1, values.size if kind == "SCALAR" else len(values)
            self.gltf.accessors.append(Part(bufferView=view, componentType=FLOAT, count=count, type=kind))
            self._accessors[key] = len(self.gltf.accessors) - 1
        return self._accessors[key]
