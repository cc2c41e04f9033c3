"""The node tree of a glTF file: where nodes stand, which of them turn the head, and how they are turned at rest."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from freeavatar.avatars.gltf import Gltf, Part, read_accessor, target_names
from freeavatar.rotation import inverse, matrix_quaternion, multiply, quaternion_matrix

_HEAD = re.compile(r"(^|[^a-z])(head|頭)(jnt|joint|bone)?($|[^a-z])")
_NOT_HEAD = re.compile(r"end|top|nub|tip|look|target|ik|ctrl|control")
_NEAR = 0.5
"""A node turns about its own origin if that is no farther from the face's mesh than this part of its size."""
_NECK = 0.4
"""Where the neck bends without one, from the lowest to the highest point of the face's mesh."""


@dataclass(frozen=True)
class HeadTurn:
    """What turns the head of a file."""

    nodes: tuple[int, ...]
    """Nodes that turn by the same rotation of the world."""
    pivot: np.ndarray
    """Point of the world they turn about, ``(3,)``."""
    is_joint: bool
    """Whether it is a joint, so that skin holds the shoulders still."""


def head_turn(gltf: Gltf, worlds: Mapping[int, np.ndarray]) -> HeadTurn:
    """Find what turns the head.

    That is the head joint, by VRM's word or by its name; without one, a node named "head" from which all morphed
    meshes hang; without that, the root nodes above the morphed meshes and above meshes that lie among these (eyes,
    hair). A joint turns about its origin, and so do other nodes unless that lies far from the face.

    Args:
        gltf: the file, with a mesh with named morph targets.
        worlds: transform of each node of the scene.
    """
    joint = _head_joint(gltf)
    if joint is not None and joint in worlds:
        return HeadTurn((joint,), worlds[joint][:3, 3], True)
    parents = _parents(gltf)
    carriers = {node: _carrier(gltf, node) for node in sorted(worlds) if gltf.nodes[node].mesh is not None}
    morphed = [node for node in carriers if any(target_names(gltf.meshes[gltf.nodes[node].mesh]))]
    lineages = {node: _lineage(carriers[node], parents) for node in carriers}
    boxes = {node: _mesh_box(gltf, node, worlds[node]) for node in carriers}
    face = np.array([np.min([boxes[n][0] for n in morphed], axis=0), np.max([boxes[n][1] for n in morphed], axis=0)])
    named = [n for n in worlds if (gltf.nodes[n].name or "").lower() == "head"]
    nodes = [n for n in named if all(n in lineages[m] for m in morphed)][:1]
    if not nodes:
        inside = [n for n in carriers if n in morphed or _is_within(boxes[n].mean(0), face, 0.0)]
        nodes = sorted({lineages[n][-1] for n in inside})
    origin = worlds[nodes[0]][:3, 3]
    neck = np.array([face[:, 0].mean(), face[0, 1] + _NECK * (face[1, 1] - face[0, 1]), face[:, 2].mean()])
    return HeadTurn(tuple(nodes), origin if _is_within(origin, face, _NEAR) else neck, False)


def _head_joint(gltf: Gltf) -> int | None:
    old = ((gltf.extensions or {}).get("VRM") or {}).get("humanoid") or {}
    for item in old.get("humanBones") or ():
        if item.get("bone") == "head":
            return item.get("node")
    bones = ((gltf.extensions or {}).get("VRMC_vrm") or {}).get("humanoid") or {}
    if isinstance(bone := (bones.get("humanBones") or {}).get("head"), dict):
        return bone.get("node")
    joints = sorted({joint for skin in gltf.skins for joint in skin.joints})
    names = {joint: (gltf.nodes[joint].name or "").lower() for joint in joints}
    found = [j for j, name in names.items() if _HEAD.search(name) and not _NOT_HEAD.search(name)]
    return min(found, key=lambda joint: len(names[joint]), default=None)


def _mesh_box(gltf: Gltf, node: int, world: np.ndarray) -> np.ndarray:
    """Lower and upper corner, ``(2, 3)``, in the world; a skinned mesh as it was bound."""
    places = [primitive.attributes.POSITION for primitive in gltf.meshes[gltf.nodes[node].mesh].primitives]
    points = np.concatenate([read_accessor(gltf, place) for place in places])
    if gltf.nodes[node].skin is None:
        points = points @ world[:3, :3].T + world[:3, 3]
    return np.array([points.min(0), points.max(0)])


def _is_within(point: np.ndarray, box: np.ndarray, margin: float) -> bool:
    room = margin * (box[1] - box[0]).max()
    return bool((point >= box[0] - room).all() and (point <= box[1] + room).all())


def turned_origins(gltf: Gltf, node: int, turn: HeadTurn, matrices: np.ndarray) -> np.ndarray | None:
    """Translations of a node that turns about another point than its origin, ``(T, 3)``; else None.

    Args:
        gltf: the file.
        node: one of ``turn.nodes``.
        turn: what turns the head.
        matrices: rotations of the world, ``(T, 3, 3)``.
    """
    parent = np.eye(4)
    for ancestor in reversed(_lineage(node, _parents(gltf))[1:]):
        parent = parent @ node_matrix(gltf.nodes[ancestor])
    arm = (parent @ node_matrix(gltf.nodes[node]))[:3, 3] - turn.pivot
    if np.abs(arm).max() < 1e-9:
        return None
    return (turn.pivot + matrices @ arm - parent[:3, 3]) @ np.linalg.inv(parent[:3, :3]).T


def local_rotations(gltf: Gltf, node: int, turns: np.ndarray) -> np.ndarray:
    """Rotations of ``node`` that turn it, as it stands at rest, by ``turns`` of the world.

    Args:
        gltf: the file.
        node: index of the node.
        turns: unit quaternions in the axes of the world, ``(T, 4)``.

    Returns:
        Values for the node's ``rotation``, ``(T, 4)`` float64.
    """
    chain = _lineage(node, _parents(gltf))
    parent = np.array([0.0, 0.0, 0.0, 1.0])
    for ancestor in chain[1:]:
        parent = multiply(rest_rotation(gltf.nodes[ancestor]), parent)
    rest = multiply(parent, rest_rotation(gltf.nodes[node]))
    return multiply(multiply(inverse(parent), turns), rest)


def rest_rotation(node: Part) -> np.ndarray:
    """Rotation of a node that is not animated, a quaternion ``(4,)``."""
    if node.matrix is not None:
        return matrix_quaternion(_rotation_and_scale(node.matrix)[0])
    return np.array(node.rotation or (0.0, 0.0, 0.0, 1.0), np.float64)


def split_matrix(node: Part) -> None:
    """Replace a node's matrix, which glTF forbids to animate, by its three parts, in place."""
    if node.matrix is None:
        return
    node.translation = list(node.matrix[12:15])
    node.rotation = rest_rotation(node).tolist()
    node.scale = _rotation_and_scale(node.matrix)[1].tolist()
    node.matrix = None


def _rotation_and_scale(matrix: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    linear = np.reshape(matrix, (4, 4)).T[:3, :3].astype(np.float64)
    scale = np.linalg.norm(linear, axis=0)
    scale[0] *= -1 if np.linalg.det(linear) < 0 else 1
    return linear / np.where(scale == 0, 1, scale), scale


def _carrier(gltf: Gltf, node: int) -> int:
    """The node that moves this one's mesh: a skinned mesh follows its joints, not its node."""
    skin = gltf.nodes[node].skin
    return node if skin is None else gltf.skins[skin].joints[0]


def _parents(gltf: Gltf) -> dict[int, int]:
    return {child: index for index, node in enumerate(gltf.nodes) for child in node.children or ()}


def _lineage(node: int, parents: dict[int, int]) -> list[int]:
    """The node, its parent, and so on up to the root."""
    chain = [node]
    while (parent := parents.get(chain[-1])) is not None and parent not in chain:
        chain.append(parent)
    return chain


def node_matrix(node: Part) -> np.ndarray:
    """Transform of a node within its parent, ``(4, 4)``."""
    if node.matrix:
        return np.array(node.matrix, float).reshape(4, 4).T
    matrix = np.eye(4)
    matrix[:3, :3] = quaternion_matrix(node.rotation or (0, 0, 0, 1)) * (node.scale or (1, 1, 1))
    matrix[:3, 3] = node.translation or (0, 0, 0)
    return matrix


def root_nodes(gltf: Gltf) -> list[int]:
    """Nodes the scene begins with; without a scene, those that are nobody's children."""
    if gltf.scenes:
        return list(gltf.scenes[gltf.scene or 0].nodes or ())
    return sorted(set(range(len(gltf.nodes))) - set(_parents(gltf)))


def world_matrices(gltf: Gltf) -> dict[int, np.ndarray]:
    """Transform of each node of the scene, ``(4, 4)``."""
    found: dict[int, np.ndarray] = {}
    stack = [(node, np.eye(4)) for node in root_nodes(gltf)]
    while stack:
        index, parent = stack.pop()
        if index not in found:
            found[index] = parent @ node_matrix(gltf.nodes[index])
            stack += [(child, found[index]) for child in gltf.nodes[index].children or []]
    return found


def nodes_below(gltf: Gltf, nodes: Sequence[int]) -> set[int]:
    """The nodes, their children, and so on."""
    found: set[int] = set()
    stack = list(nodes)
    while stack:
        index = stack.pop()
        if index not in found:
            found.add(index)
            stack += gltf.nodes[index].children or []
    return found
