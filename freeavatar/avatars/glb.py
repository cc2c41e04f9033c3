"""Reading avatars from GLB files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.bindings import Bindings, check_driven, read_bindings
from freeavatar.avatars.gltf import Gltf, open_glb, read_accessor, target_names
from freeavatar.avatars.materials import read_materials
from freeavatar.avatars.nodes import HeadTurn, head_turn, nodes_below, world_matrices
from freeavatar.avatars.wrinkles import read_wrinkles
from freeavatar.errors import AvatarError
from freeavatar.files import content_id
from freeavatar.rig import ARKIT

Shapes = dict[str, tuple[np.ndarray, np.ndarray]]
"""Per target what it does to positions and normals, ``(V, 3)`` each."""


def vertex_normals(positions: np.ndarray, triangles: np.ndarray, merge: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals.

    Args:
        positions: ``(V, 3)``.
        triangles: ``(T, 3)``.
        merge: vertices with one value share a normal, ``(V,)`` int.

    Returns:
        ``(V, 3)`` float64.
    """
    corners = positions[triangles].astype(np.float64)
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros((merge.max() + 1, 3))
    for k in range(3):
        np.add.at(total, merge[triangles[:, k]], face)
    normals = total[merge]
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def strand_tangents(positions: np.ndarray, uv: np.ndarray, triangles: np.ndarray, is_hair: np.ndarray) -> np.ndarray:
    """Directions in which v grows over the surface: textures of hair run along it.

    Args:
        positions: ``(V, 3)``.
        uv: texture coordinates, ``(V, 2)``.
        triangles: ``(T, 3)``.
        is_hair: vertices to find it for, ``(V,)`` bool.

    Returns:
        Unit, ``(V, 3)`` float32; zeros elsewhere and where the texture does not say.
    """
    faces = triangles[is_hair[triangles].all(1)]
    p, t = positions[faces].astype(np.float64), uv[faces].astype(np.float64)
    (e1, e2), (d1, d2) = ((x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]) for x in (p, t))
    along = e2 * d1[:, :1] - e1 * d2[:, :1]
    along *= np.sign(d1[:, 0] * d2[:, 1] - d2[:, 0] * d1[:, 1])[:, None]
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    total = np.zeros((len(positions), 3))
    for k in range(3):
        np.add.at(total, faces[:, k], along)
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)).astype(np.float32)


@dataclass
class _Piece:
    """One primitive in the frame of the scene."""

    positions: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    colors: np.ndarray
    triangles: np.ndarray
    material: int
    shapes: Shapes
    head_weight: np.ndarray


@dataclass(frozen=True)
class _Scene:
    """The file with what is known of its nodes."""

    gltf: Gltf
    worlds: dict[int, np.ndarray]
    controls: Bindings
    head: HeadTurn
    turned: set[int]
    """The nodes that turn the head and all below them."""

    def read(self, index: int | None, count: int, width: int, default: float) -> np.ndarray:
        """An optional vertex attribute, ``(count, width)`` float32."""
        if index is None:
            return np.full((count, width), default, np.float32)
        return read_accessor(self.gltf, index)[:, :width].astype(np.float32)

    def placement(self, node: int, attributes, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Where each vertex is put, ``(count or 1, 4, 4)``, and how far it follows the head, ``(count,)``.

        A skinned mesh follows its joints, whatever its own node does (glTF 2.0, 3.7.3.3).
        """
        skin = self.gltf.nodes[node].skin
        if skin is None or attributes.JOINTS_0 is None:
            return self.worlds[node][None], np.full(count, float(node in self.turned), np.float32)
        joints = self.gltf.skins[skin].joints
        inverse = np.tile(np.eye(4), (len(joints), 1, 1))
        if self.gltf.skins[skin].inverseBindMatrices is not None:
            inverse = read_accessor(self.gltf, self.gltf.skins[skin].inverseBindMatrices).reshape(-1, 4, 4).mT
        bones = np.stack([self.worlds[joint] for joint in joints]) @ inverse
        chosen = read_accessor(self.gltf, attributes.JOINTS_0).astype(int)
        weights = read_accessor(self.gltf, attributes.WEIGHTS_0).astype(np.float64)
        weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
        is_turned = np.array([joint in self.turned for joint in joints], np.float32)
        return np.einsum("vk,vkij->vij", weights, bones[chosen]), (is_turned[chosen] * weights).sum(1)


def _read_scene(gltf: Gltf) -> _Scene:
    controls = read_bindings(gltf)
    check_driven(gltf, controls)
    worlds = world_matrices(gltf)
    head = head_turn(gltf, worlds)
    return _Scene(gltf, worlds, controls, head, nodes_below(gltf, head.nodes))


def _read_piece(scene: _Scene, node: int, primitive) -> _Piece:
    attributes = primitive.attributes
    raw = read_accessor(scene.gltf, attributes.POSITION).astype(np.float64)
    count = len(raw)
    _check_lengths(scene.gltf, primitive, count)
    matrices, head_weight = scene.placement(node, attributes, count)
    positions = np.einsum("vij,vj->vi", np.broadcast_to(matrices[:, :3, :3], (count, 3, 3)), raw) + matrices[:, :3, 3]
    indices = np.arange(count) if primitive.indices is None else read_accessor(scene.gltf, primitive.indices)
    named = indices.reshape(-1, 3).astype(np.int64)
    if named.size and not 0 <= named.min() <= named.max() < count:
        raise AvatarError("a triangle names vertex {} of {}: export it again.", named.max(), count)
    triangles = named.astype(np.int32)
    normals, shapes = _read_shapes(scene, node, primitive, positions, triangles, matrices[:, :3, :3])
    return _Piece(
        positions=positions.astype(np.float32),
        normals=normals,
        uv=scene.read(attributes.TEXCOORD_0, count, 2, 0.0),
        colors=scene.read(attributes.COLOR_0, count, 3, 1.0),
        triangles=triangles,
        material=primitive.material if primitive.material is not None else -1,
        shapes=shapes,
        head_weight=head_weight.astype(np.float32),
    )


def _read_shapes(
    scene: _Scene, node: int, primitive, positions: np.ndarray, triangles: np.ndarray, linear: np.ndarray
) -> tuple[np.ndarray, Shapes]:
    """Normals ``(V, 3)`` and what controls move; normals are computed where the file has none."""
    turn = linear / np.maximum(np.cbrt(np.abs(np.linalg.det(linear))), 1e-12)[:, None, None]
    has_normals = primitive.attributes.NORMAL is not None
    targets = _checked_targets(scene, node, primitive, len(positions))

    def placed(index: int, matrices: np.ndarray) -> np.ndarray:
        values = read_accessor(scene.gltf, index).astype(np.float64)
        rows = np.flatnonzero(values.any(1))
        values[rows] = np.einsum("vij,vj->vi", np.broadcast_to(matrices, (len(values), 3, 3))[rows], values[rows])
        return values

    grid = np.ptp(positions, axis=0).max() * 1e-6 + 1e-12
    merge = np.unique((positions / grid).round(), axis=0, return_inverse=True)[1].ravel()
    rest = vertex_normals(positions, triangles, merge)
    normals = placed(primitive.attributes.NORMAL, turn) if has_normals else rest
    shapes: Shapes = {}
    for name in scene.controls.names:
        for (mesh, target), weight in scene.controls.binds[name].items():
            keys = targets[target] if mesh == scene.gltf.nodes[node].mesh else {}
            if (place := keys.get("POSITION")) is None:
                continue
            moved = placed(place, linear) * weight
            if (place := keys.get("NORMAL")) is not None and has_normals:
                tilt = placed(place, turn) * weight
            else:
                tilt = vertex_normals(positions + moved, triangles, merge) - rest
            before = shapes.get(name, (0.0, 0.0))
            shapes[name] = ((before[0] + moved).astype(np.float32), (before[1] + tilt).astype(np.float32))
    return normals.astype(np.float32), shapes


def _check_lengths(gltf: Gltf, primitive, count: int) -> None:
    """Refuse a primitive whose attributes are not all as long as its positions."""
    for name, index in primitive.attributes.items():
        if isinstance(index, int) and (length := gltf.accessors[index].count) != count:
            raise AvatarError("{} has {} values for {} vertices: export it again.", name, length, count)


def _checked_targets(scene: _Scene, node: int, primitive, count: int) -> list[dict[str, int | None]]:
    """Accessors of each morph target, all as long as the mesh."""
    names = target_names(scene.gltf.meshes[scene.gltf.nodes[node].mesh])
    targets = list(primitive.targets or ())
    for name, keys in zip(names, targets, strict=False):
        for index in (keys.get("POSITION"), keys.get("NORMAL")):
            if index is not None and (length := scene.gltf.accessors[index].count) != count:
                raise AvatarError(
                    "morph target {} has {} vertices where its mesh has {}: export it again.", name, length, count
                )
    return targets


@dataclass(frozen=True)
class Summary:
    """What a GLB says of itself without its geometry."""

    target_names: tuple[str, ...]
    """As of an :class:`Avatar`."""
    license: str
    author: str

    @property
    def is_arkit(self) -> bool:
        """Whether its controls include all 52 of ARKit's, by their own names."""
        return set(ARKIT) <= set(self.target_names)


def read_summary(path: Path) -> Summary:
    """Read what a GLB says of itself; its geometry is not checked.

    Raises:
        AvatarError: not a readable GLB, or no morph targets.
    """
    gltf = open_glb(path)
    with _blamed_on(path):
        return Summary(_read_scene(gltf).controls.driven, *_rights(gltf))


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    """Errors in what a file holds name the file."""
    try:
        yield
    except AvatarError as error:
        raise AvatarError("{}: {}", path, error) from None
    except (AttributeError, IndexError, KeyError, ValueError, TypeError) as error:
        raise AvatarError("{} is damaged ({}): export it again as binary glTF 2.0.", path, error) from error


def read_glb(path: Path, *, name: str | None = None) -> Avatar:
    """Read an avatar.

    Args:
        path: a GLB with at least one mesh with named morph targets.
        name: the avatar's name; default the file's stem.

    Raises:
        AvatarError: not a readable GLB, no morph targets, too many vertices, or data that do not fit.
    """
    gltf = open_glb(path)
    with _blamed_on(path):
        return _assemble(gltf, path, name or path.stem)


def _assemble(gltf: Gltf, path: Path, name: str) -> Avatar:
    scene = _read_scene(gltf)
    parts = [
        (node, primitive)
        for node in sorted(scene.worlds)
        if (mesh := gltf.nodes[node].mesh) is not None
        for primitive in gltf.meshes[mesh].primitives
        if primitive.mode in (None, 4)
    ]
    return _merge(scene, path, name, [_read_piece(scene, *part) for part in parts])


def _rights(gltf: Gltf) -> tuple[str, str]:
    """Licence and author by our own fields, the standard's or a VRM's."""
    extensions = gltf.extensions or {}
    meta = (extensions.get("VRMC_vrm") or extensions.get("VRM") or {}).get("meta") or {}
    extras = gltf.asset.extras or {}
    rights = gltf.asset.copyright or meta.get("licenseUrl") or meta.get("licenseName") or "unknown"
    creator = ", ".join(meta.get("authors") or ()) or meta.get("author") or "unknown"
    return str(extras.get("license", rights)), str(extras.get("author", creator))


def _merge(scene: _Scene, path: Path, name: str, pieces: list[_Piece]) -> Avatar:
    controls = scene.controls
    starts = np.cumsum([0] + [len(p.positions) for p in pieces])
    moved = np.zeros((2, len(controls.names), starts[-1], 3), np.float32)
    for piece, start in zip(pieces, starts, strict=False):
        for target, values in piece.shapes.items():
            moved[:, controls.names.index(target), start : start + len(piece.positions)] = values
    positions = np.concatenate([p.positions for p in pieces])
    if not moved[0].any():
        raise AvatarError("its morph targets move nothing: export the head with its blendshapes (shape keys).")
    if not (np.isfinite(moved).all() and np.isfinite(positions).all()):
        raise AvatarError("a vertex or a morph target has a value that is not a finite number: export it again.")
    materials = read_materials(scene.gltf)
    extras = scene.gltf.asset.extras or {}
    rights, creator = _rights(scene.gltf)
    material = np.repeat([p.material % len(materials) for p in pieces], np.diff(starts))
    is_hair = np.array([m.surface == "hair" for m in materials])
    uv = np.concatenate([p.uv for p in pieces])
    triangles = np.concatenate([p.triangles + s for p, s in zip(pieces, starts, strict=False)]).astype(np.int32)
    return Avatar(
        name=name,
        path=path,
        content=content_id(path),
        license=rights,
        author=creator,
        positions=positions,
        normals=np.concatenate([p.normals for p in pieces]),
        tangents=strand_tangents(positions, uv, triangles, is_hair[material]),
        uv=uv,
        colors=np.concatenate([p.colors for p in pieces]),
        triangles=triangles,
        material=material.astype(np.int32),
        materials=materials,
        target_names=controls.driven,
        correctives=controls.correctives,
        drive=controls.drive,
        target_positions=moved[0],
        target_normals=moved[1],
        head_weight=np.concatenate([p.head_weight for p in pieces]),
        head_pivot=scene.head.pivot.astype(np.float32),
        landmarks=np.array(extras["landmarks"], np.float32) if "landmarks" in extras else None,
        unused_targets=controls.unused,
        head_names=tuple(scene.gltf.nodes[node].name or f"node {node}" for node in scene.head.nodes),
        has_head_joint=scene.head.is_joint,
        wrinkles=read_wrinkles(scene.gltf, controls.driven, controls.unused),
    )
