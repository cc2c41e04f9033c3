"""Animated avatars: a performance as the morph-target animation of a glTF 2.0 binary file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeavatar.avatars.bindings import Bindings, read_bindings
from freeavatar.avatars.gltf import Gltf, Part, open_glb, write_glb
from freeavatar.avatars.nodes import head_turn, local_rotations, split_matrix, turned_origins, world_matrices
from freeavatar.errors import AvatarError, InputError
from freeavatar.export.checks import check_performance
from freeavatar.export.sink import Recording
from freeavatar.rig import Controls
from freeavatar.rotation import continuous, head_quaternion, quaternion_matrix

FLOAT = 5126
"""glTF's number for 32-bit floats."""


def write_animated_glb(
    avatar_glb: str | Path, performance: Controls, path: str | Path, *, animate_head: bool = True
) -> None:
    """Write a copy of an avatar that plays a performance.

    The copy has one animation, named after ``path``; animations of the avatar are dropped and
    everything else is kept. Every mesh with a target of the performance is animated: its named
    targets, those that a VRM's expression binds and the correctives that follow; other targets
    get the weight 0. The head turns as :func:`freeavatar.avatars.nodes.head_turn` finds it.

    Args:
        avatar_glb: the avatar, a .glb that holds its own data; it faces +Z.
        performance: times and weights to play; names match by exact spelling.
        path: the file to write; it is replaced at once when it is complete.
        animate_head: also turn the head.

    Raises:
        AvatarError: the avatar is no complete .glb, or has no morph target of the performance.
        InputError: the performance cannot be written, or ``path`` cannot.
    """
    path = Path(path)
    check_performance(performance, performance.avatar)
    times = _key_times(performance)
    source = Path(avatar_glb)
    gltf = open_glb(source)
    bindings = read_bindings(gltf)
    meshes = _driven_meshes(gltf, bindings, performance.names, source)
    chunk = _Chunk(gltf, bytearray(gltf.data), Part(name=path.stem, channels=[], samplers=[]))
    chunk.add_times(times)
    _add_weights(chunk, performance, bindings, meshes)
    if animate_head:
        try:
            _add_head(chunk, performance)
        except IndexError as error:
            raise AvatarError(
                "The skeleton of {} names a part that the file lacks: export the avatar again.", source.name
            ) from error
    gltf.animations = [chunk.animation]
    write_glb(gltf, chunk.data, path)


@dataclass
class _Chunk:
    """The file's binary chunk and the animation that refers to it, while both grow."""

    gltf: Gltf
    data: bytearray
    animation: Part
    times: int = -1
    """Accessor of the key times."""

    def add_times(self, times: np.ndarray) -> None:
        self.times = self.add_accessor(times, "SCALAR")
        accessor = self.gltf.accessors[self.times]
        accessor.min, accessor.max = [float(times[0])], [float(times[-1])]

    def add_accessor(self, values: np.ndarray, kind: str) -> int:
        """Append float32 values, ``(N,)``, ``(N, 3)`` or ``(N, 4)``; returns the accessor's index."""
        self.data += bytes(-len(self.data) % 4)
        view = Part(buffer=0, byteOffset=len(self.data), byteLength=values.nbytes)
        self.data += values.astype("<f4").tobytes()
        self.gltf.bufferViews.append(view)
        accessor = Part(bufferView=len(self.gltf.bufferViews) - 1, componentType=FLOAT, count=len(values), type=kind)
        self.gltf.accessors.append(accessor)
        return len(self.gltf.accessors) - 1

    def add_sampler(self, output: int) -> int:
        self.animation.samplers.append(Part(input=self.times, output=output))
        return len(self.animation.samplers) - 1

    def add_channel(self, sampler: int, node: int, target: str) -> None:
        channel = Part(sampler=sampler, target=Part(node=node, path=target))
        self.animation.channels.append(channel)


def _add_weights(chunk: _Chunk, performance: Controls, bindings: Bindings, meshes: list[int]) -> None:
    accessors: dict[bytes, int] = {}
    for mesh in meshes:
        count = len(chunk.gltf.meshes[mesh].primitives[0].targets)
        weights = bindings.target_weights(performance.names, performance.weights, mesh, count)
        # Meshes that share targets share the animation's data.
        key = weights.tobytes()
        if key not in accessors:
            accessors[key] = chunk.add_accessor(weights.ravel(), "SCALAR")
        sampler = chunk.add_sampler(accessors[key])
        for node in _nodes_of(chunk.gltf, mesh):
            chunk.add_channel(sampler, node, "weights")


def _add_head(chunk: _Chunk, performance: Controls) -> None:
    gltf = chunk.gltf
    turns = head_quaternion(*performance.head.T)
    turn = head_turn(gltf, world_matrices(gltf))
    for node in turn.nodes:
        rotations = continuous(local_rotations(gltf, node, turns)).astype(np.float32)
        places = turned_origins(gltf, node, turn, quaternion_matrix(turns))
        split_matrix(gltf.nodes[node])
        chunk.add_channel(chunk.add_sampler(chunk.add_accessor(rotations, "VEC4")), node, "rotation")
        if places is not None:
            accessor = chunk.add_accessor(places.astype(np.float32), "VEC3")
            chunk.add_channel(chunk.add_sampler(accessor), node, "translation")


def _key_times(performance: Controls) -> np.ndarray:
    times = performance.times.astype(np.float32)
    if (np.diff(times) <= 0).any():
        raise InputError(
            "Two frames of {}'s performance are too close in time for a GLB: lower the frame rate or shorten the clip.",
            performance.avatar,
        )
    return times


def _driven_meshes(gltf: Gltf, bindings: Bindings, names: tuple[str, ...], source: Path) -> list[int]:
    """Meshes that are in use and have a target of the performance."""
    if not bindings.binds:
        raise AvatarError("{} has no morph targets: choose an avatar with facial blendshapes.", source.name)
    driven = [mesh for mesh in sorted(bindings.meshes(names)) if _nodes_of(gltf, mesh)]
    if not driven:
        raise AvatarError(
            "No morph target of {} has the name of a control of this performance, such as {}: choose the avatar that "
            "the performance was made for.",
            source.name,
            ", ".join(names[:3]),
        )
    return driven


def _nodes_of(gltf: Gltf, mesh: int) -> list[int]:
    return [index for index, node in enumerate(gltf.nodes) if node.mesh == mesh]


class GlbSink(Recording):
    """Writes a copy of the avatar that plays."""

    def save(self) -> None:
        """Write it."""
        turns_head = self.output.settings.get("has_head_pose", True)
        write_animated_glb(self.output.avatar.path, self.controls, self.output.path, animate_head=turns_head)
