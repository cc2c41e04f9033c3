"""Animated avatars: a performance as the morph-target animation of a glTF 2.0 binary file."""

from pathlib import Path

import numpy as np

from freeavatar.avatars.bindings import Bindings, read_bindings
from freeavatar.avatars.gltf import Gltf, open_glb, write_glb
from freeavatar.avatars.nodes import head_turn, local_rotations, split_matrix, turned_origins, world_matrices
from freeavatar.errors import AvatarError
from freeavatar.export.animation import Animation, key_times
from freeavatar.export.checks import check_performance
from freeavatar.export.sink import Recording
from freeavatar.rig import Controls
from freeavatar.rotation import continuous, head_quaternion, quaternion_matrix


def write_animated_glb(
    avatar_glb: str | Path,
    performance: Controls,
    path: str | Path,
    *,
    animate_head: bool = True,
    most_error: float = 0.0,
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
        most_error: leave out keys that the others give within this: of weights, of radians, and of translations as a
            part of their range. All targets of a mesh share their keys. 0 keeps the key of every frame.

    Raises:
        AvatarError: the avatar is no complete .glb, or has no morph target of the performance.
        InputError: the performance cannot be written, or ``path`` cannot.
    """
    path = Path(path)
    check_performance(performance, performance.avatar)
    times = key_times(performance.times, performance.avatar)
    source = Path(avatar_glb)
    gltf = open_glb(source)
    bindings = read_bindings(gltf)
    meshes = _driven_meshes(gltf, bindings, performance.names, source)
    animation = Animation(gltf, path.stem, times, most_error=most_error)
    _add_weights(animation, performance, bindings, meshes)
    if animate_head:
        try:
            _add_head(animation, performance)
        except IndexError as error:
            raise AvatarError(
                "The skeleton of {} names a part that the file lacks: export the avatar again.", source.name
            ) from error
    gltf.animations = [animation.part]
    write_glb(gltf, animation.data, path)


def _add_weights(animation: Animation, performance: Controls, bindings: Bindings, meshes: list[int]) -> None:
    for mesh in meshes:
        count = len(animation.gltf.meshes[mesh].primitives[0].targets)
        sampler = animation.add_sampler(
            bindings.target_weights(performance.names, performance.weights, mesh, count), "weights"
        )
        for node in _nodes_of(animation.gltf, mesh):
            animation.add_channel(sampler, node, "weights")


def _add_head(animation: Animation, performance: Controls) -> None:
    gltf = animation.gltf
    turns = head_quaternion(*performance.head.T)
    turn = head_turn(gltf, world_matrices(gltf))
    for node in turn.nodes:
        rotations = continuous(local_rotations(gltf, node, turns))
        places = turned_origins(gltf, node, turn, quaternion_matrix(turns))
        split_matrix(gltf.nodes[node])
        animation.add_channel(animation.add_sampler(rotations, "rotation"), node, "rotation")
        if places is not None:
            reach = float(np.ptp(places, axis=0).max())
            animation.add_channel(animation.add_sampler(places, "translation", scale=reach), node, "translation")


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
        settings = self.output.settings
        write_animated_glb(
            self.output.avatar.path, self.controls, self.output.path,
            animate_head=settings.get("has_head_pose", True), most_error=settings.get("reduce", 0.0),
        )  # fmt: skip
