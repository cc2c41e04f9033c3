"""Animated avatars: a performance as the morph-target animation of a glTF 2.0 binary file."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pygltflib import (
    FLOAT,
    GLTF2,
    SCALAR,
    VEC4,
    Accessor,
    Animation,
    AnimationChannel,
    AnimationChannelTarget,
    AnimationSampler,
    BufferView,
)

from freeavatar.avatars.gltf import open_glb, target_names
from freeavatar.avatars.nodes import head_nodes, local_rotations, split_matrix
from freeavatar.errors import AvatarError, InputError
from freeavatar.export.checks import check_performance
from freeavatar.files import replacing
from freeavatar.rig import Performance
from freeavatar.rotation import continuous, head_quaternion


def write_animated_glb(
    avatar_glb: str | Path, performance: Performance, path: str | Path, *, animate_head: bool = True
) -> None:
    """Write a copy of an avatar that plays a performance.

    The copy has one animation, named after ``path``; animations of the avatar are dropped and
    everything else is kept. Every mesh with a target of the performance is animated, by the
    names in its own ``extras.targetNames``; its other targets get the weight 0. The head turns
    with the node named "head", or with the root nodes of those meshes if there is none.

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
    check_performance(performance)
    times = _key_times(performance)
    source = Path(avatar_glb)
    gltf = open_glb(source)
    meshes = _driven_meshes(gltf, performance.names, source)
    chunk = _Chunk(gltf, bytearray(gltf.binary_blob()), Animation(name=path.stem))
    chunk.add_times(times)
    _add_weights(chunk, performance, meshes)
    if animate_head:
        try:
            _add_head(chunk, performance, meshes)
        except IndexError as error:
            raise AvatarError(
                f"The skeleton of {source.name} names a part that the file lacks: export the avatar again."
            ) from error
    gltf.animations = [chunk.animation]
    chunk.data += bytes(-len(chunk.data) % 4)
    gltf.buffers[0].byteLength = len(chunk.data)
    _write_glb(gltf, chunk.data, path)


@dataclass
class _Chunk:
    """The file's binary chunk and the animation that refers to it, while both grow."""

    gltf: GLTF2
    data: bytearray
    animation: Animation
    times: int = -1
    """Accessor of the key times."""

    def add_times(self, times: np.ndarray) -> None:
        self.times = self.add_accessor(times, SCALAR)
        accessor = self.gltf.accessors[self.times]
        accessor.min, accessor.max = [float(times[0])], [float(times[-1])]

    def add_accessor(self, values: np.ndarray, kind: str) -> int:
        """Append float32 values, ``(N,)`` or ``(N, 4)``; returns the accessor's index."""
        self.data += bytes(-len(self.data) % 4)
        view = BufferView(buffer=0, byteOffset=len(self.data), byteLength=values.nbytes)
        self.data += values.astype("<f4").tobytes()
        self.gltf.bufferViews.append(view)
        accessor = Accessor(
            bufferView=len(self.gltf.bufferViews) - 1, componentType=FLOAT, count=len(values), type=kind
        )
        self.gltf.accessors.append(accessor)
        return len(self.gltf.accessors) - 1

    def add_sampler(self, output: int) -> int:
        self.animation.samplers.append(AnimationSampler(input=self.times, output=output))
        return len(self.animation.samplers) - 1

    def add_channel(self, sampler: int, node: int, target: str) -> None:
        channel = AnimationChannel(sampler=sampler, target=AnimationChannelTarget(node=node, path=target))
        self.animation.channels.append(channel)


def _add_weights(chunk: _Chunk, performance: Performance, meshes: dict[int, tuple[str, ...]]) -> None:
    accessors: dict[tuple[str, ...], int] = {}
    for mesh, names in meshes.items():
        if names not in accessors:
            accessors[names] = chunk.add_accessor(_target_weights(performance, names).ravel(), SCALAR)
        sampler = chunk.add_sampler(accessors[names])
        for node in _nodes_of(chunk.gltf, mesh):
            chunk.add_channel(sampler, node, "weights")


def _target_weights(performance: Performance, names: tuple[str, ...]) -> np.ndarray:
    """Weights in the order of a mesh's targets, ``(T, len(names))`` float32."""
    weights = np.zeros((len(performance.times), len(names)), np.float32)
    columns = {name: column for column, name in enumerate(performance.names)}
    for target, name in enumerate(names):
        if name in columns:
            weights[:, target] = performance.weights[:, columns[name]]
    return weights


def _add_head(chunk: _Chunk, performance: Performance, meshes: dict[int, tuple[str, ...]]) -> None:
    gltf = chunk.gltf
    turns = head_quaternion(*performance.head.T)
    for node in head_nodes(gltf, [node for mesh in meshes for node in _nodes_of(gltf, mesh)]):
        rotations = continuous(local_rotations(gltf, node, turns)).astype(np.float32)
        split_matrix(gltf.nodes[node])
        chunk.add_channel(chunk.add_sampler(chunk.add_accessor(rotations, VEC4)), node, "rotation")


def _key_times(performance: Performance) -> np.ndarray:
    times = performance.times.astype(np.float32)
    if (np.diff(times) <= 0).any():
        raise InputError(
            f"Two frames of {performance.avatar}'s performance are too close in time for a GLB: "
            "lower the frame rate or shorten the clip."
        )
    return times


def _driven_meshes(gltf: GLTF2, names: tuple[str, ...], source: Path) -> dict[int, tuple[str, ...]]:
    """Target names of each mesh that is in use and has a target of the performance."""
    targets = {i: target_names(mesh) for i, mesh in enumerate(gltf.meshes) if _nodes_of(gltf, i)}
    if not any(targets.values()):
        raise AvatarError(f"{source.name} has no morph targets: choose an avatar with facial blendshapes.")
    driven = {mesh: own for mesh, own in targets.items() if set(own) & set(names)}
    if not driven:
        raise AvatarError(
            f"No morph target of {source.name} has the name of a control of this performance, such as "
            f"{', '.join(names[:3])}: choose the avatar that the performance was made for."
        )
    return driven


def _nodes_of(gltf: GLTF2, mesh: int) -> list[int]:
    return [index for index, node in enumerate(gltf.nodes) if node.mesh == mesh]


def _write_glb(gltf: GLTF2, data: bytearray, path: Path) -> None:
    # GLTF2.save would repack the buffer, which breaks compressed views (EXT_meshopt_compression).
    text = gltf.gltf_to_json(separators=(",", ":"), indent=None).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(data)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<4sIII4s", b"glTF", 2, size, len(text), b"JSON"))
        file.write(text)
        file.write(struct.pack("<I4s", len(data), b"BIN\0"))
        file.write(data)
