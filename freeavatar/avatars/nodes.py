"""The node tree of a glTF file: where nodes stand, which of them turn the head, and how they are turned at rest."""

from collections.abc import Sequence

import numpy as np
from pygltflib import GLTF2, Node

from freeavatar.rotation import inverse, matrix_quaternion, multiply, quaternion_matrix


def head_nodes(gltf: GLTF2, morph_nodes: Sequence[int]) -> list[int]:
    """Nodes whose rotation turns the whole head.

    That is the node named "head", in any case, if it is a joint or if every morphed mesh hangs
    from it; without one, the root nodes above the morphed meshes.

    Args:
        gltf: the file.
        morph_nodes: indices of the nodes that carry the morphed meshes.
    """
    parents = _parents(gltf)
    joints = {joint for skin in gltf.skins for joint in skin.joints}
    lineages = [_lineage(_carrier(gltf, node), parents) for node in morph_nodes]
    named = [i for i, node in enumerate(gltf.nodes) if (node.name or "").lower() == "head"]
    for node in sorted(named, key=lambda i: i not in joints):
        if node in joints or all(node in lineage for lineage in lineages):
            return [node]
    return sorted({lineage[-1] for lineage in lineages})


def local_rotations(gltf: GLTF2, node: int, turns: np.ndarray) -> np.ndarray:
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


def rest_rotation(node: Node) -> np.ndarray:
    """Rotation of a node that is not animated, a quaternion ``(4,)``."""
    if node.matrix is not None:
        return matrix_quaternion(_rotation_and_scale(node.matrix)[0])
    return np.array(node.rotation or (0.0, 0.0, 0.0, 1.0), np.float64)


def split_matrix(node: Node) -> None:
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


def _carrier(gltf: GLTF2, node: int) -> int:
    """The node that moves this one's mesh: a skinned mesh follows its joints, not its node."""
    skin = gltf.nodes[node].skin
    return node if skin is None else gltf.skins[skin].joints[0]


def _parents(gltf: GLTF2) -> dict[int, int]:
    return {child: index for index, node in enumerate(gltf.nodes) for child in node.children or ()}


def _lineage(node: int, parents: dict[int, int]) -> list[int]:
    """The node, its parent, and so on up to the root."""
    chain = [node]
    while (parent := parents.get(chain[-1])) is not None and parent not in chain:
        chain.append(parent)
    return chain


def node_matrix(node: Node) -> np.ndarray:
    """Transform of a node within its parent, ``(4, 4)``."""
    if node.matrix:
        return np.array(node.matrix, float).reshape(4, 4).T
    matrix = np.eye(4)
    matrix[:3, :3] = quaternion_matrix(node.rotation or (0, 0, 0, 1)) * (node.scale or (1, 1, 1))
    matrix[:3, 3] = node.translation or (0, 0, 0)
    return matrix


def world_matrices(gltf: GLTF2) -> dict[int, np.ndarray]:
    """Transform of each node of the scene, ``(4, 4)``."""
    found: dict[int, np.ndarray] = {}
    scene = gltf.scenes[gltf.scene or 0] if gltf.scenes else None
    stack = [(n, np.eye(4)) for n in (scene.nodes if scene else range(len(gltf.nodes)))]
    while stack:
        index, parent = stack.pop()
        if index not in found:
            found[index] = parent @ node_matrix(gltf.nodes[index])
            stack += [(child, found[index]) for child in gltf.nodes[index].children or []]
    return found


def nodes_below(gltf: GLTF2, nodes: Sequence[int]) -> set[int]:
    """The nodes, their children, and so on."""
    found: set[int] = set()
    stack = list(nodes)
    while stack:
        index = stack.pop()
        if index not in found:
            found.add(index)
            stack += gltf.nodes[index].children or []
    return found
