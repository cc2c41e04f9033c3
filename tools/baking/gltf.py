"""Writing a head as a GLB: one skinned mesh, one primitive a part, sparse morph targets."""

from pathlib import Path

import numpy as np
import pygltflib as gl

from tools.baking.mesh import Head
from tools.baking.part import Part, Use
from tools.baking.rigs import ON_TOP_OF
from tools.baking.wrinkles import WrinkleMap

POSITION_EPSILON = {"hair": 1e-3, "beard": 1e-3, "brows": 2e-4, "lashes": 1e-4}
"""Displacements below this (metres) are left out of the sparse targets of a part; 1e-4 for the others."""
NORMAL_EPSILON = 5e-2
FOLLOWS_NECK = ("skin", "shirt")
"""Parts that reach below the head joint: the others follow it wholly."""


class _Writer:
    """Collects buffer views and accessors."""

    def __init__(self) -> None:
        self.gltf = gl.GLTF2(bufferViews=[], accessors=[], buffers=[gl.Buffer(byteLength=0)])
        self.data = bytearray()
        self._zeros: dict[int, int] = {}
        """Accessors of nothing but zeros, by length."""

    def view(self, data: bytes, target: int | None = None) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.gltf.bufferViews.append(
            gl.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(data), target=target)
        )
        self.data += data
        return len(self.gltf.bufferViews) - 1

    def accessor(
        self, values: np.ndarray, kind: str, *, component: int = gl.FLOAT, target=gl.ARRAY_BUFFER, **more
    ) -> int:
        bounds = {}
        if kind == gl.VEC3 and component == gl.FLOAT:
            bounds = dict(min=values.min(0).tolist(), max=values.max(0).tolist())
        self.gltf.accessors.append(
            gl.Accessor(
                bufferView=self.view(np.ascontiguousarray(values).tobytes(), target),
                componentType=component,
                count=len(values),
                type=kind,
                **bounds,
                **more,
            )
        )
        return len(self.gltf.accessors) - 1

    def sparse(self, values: np.ndarray, epsilon: float) -> int:
        rows = np.flatnonzero(np.abs(values).max(1) > epsilon)
        if not len(rows) and len(values) in self._zeros:
            return self._zeros[len(values)]
        item = gl.Accessor(
            byteOffset=None, componentType=gl.FLOAT, count=len(values), type=gl.VEC3, min=[0.0] * 3, max=[0.0] * 3
        )
        if len(rows):
            kept = values[rows].astype(np.float32)
            bounds = kept if len(rows) == len(values) else np.concatenate([kept, np.zeros((1, 3), np.float32)])
            item.min, item.max = bounds.min(0).tolist(), bounds.max(0).tolist()
            item.sparse = gl.Sparse(
                count=len(rows),
                indices=gl.AccessorSparseIndices(
                    bufferView=self.view(rows.astype(np.uint16).tobytes()), componentType=gl.UNSIGNED_SHORT
                ),
                values=gl.AccessorSparseValues(bufferView=self.view(kept.tobytes())),
            )
        else:
            self._zeros[len(values)] = len(self.gltf.accessors)
        self.gltf.accessors.append(item)
        return len(self.gltf.accessors) - 1


def _head_weights(positions: np.ndarray, pivot: np.ndarray) -> np.ndarray:
    """How far vertices follow the head: 0 on the shoulders, 1 above the chin, smooth along the neck."""
    t = np.clip((positions[:, 1] - (pivot[1] - 0.125)) / 0.115, 0, 1)
    forward = np.clip((positions[:, 2] - (pivot[2] + 0.05)) / 0.03, 0, 1) * (positions[:, 1] > pivot[1] - 0.09)
    return np.maximum(t * t * (3 - 2 * t), forward)


def _uses(head: Head) -> list[Use]:
    """How the targets of a head are used: of a corrective at the middle of what its product can be, or its end."""
    order = {name: k for k, name in enumerate(head.controls)}
    uses = [Use(below={order[ON_TOP_OF[name]]: 1.0} if name in ON_TOP_OF else {}) for name in head.controls]
    for one, other in head.correctives.values():
        is_half = other == f"!{one}"
        uses.append(Use(0.25, {order[one]: 0.5}) if is_half else Use(1.0, {order[one]: 1.0, order[other]: 1.0}))
    return uses


def _primitive(writer: _Writer, part: Part, uses: list[Use], material: int, pivot: np.ndarray) -> gl.Primitive:
    f32 = np.float32
    count = len(part.positions)
    head = _head_weights(part.positions, pivot) if part.name in FOLLOWS_NECK else np.ones(count)
    weights = np.round(head * 255).astype(np.uint8)
    pair = np.stack([255 - weights, weights, 0 * weights, 0 * weights], axis=1)
    joints = np.where(pair > 0, [0, 1, 0, 0], 0).astype(np.uint8)
    colors = np.concatenate([part.colors, np.ones((count, 1))], axis=1)
    epsilon = POSITION_EPSILON.get(part.name, 1e-4)
    attributes = gl.Attributes(
        POSITION=writer.accessor(part.positions.astype(f32), gl.VEC3),
        NORMAL=writer.accessor(_unit(part.normals).astype(f32), gl.VEC3),
        COLOR_0=_normalized(writer, colors, np.uint16 if part.is_grown else np.uint8),
        JOINTS_0=writer.accessor(joints, gl.VEC4, component=gl.UNSIGNED_BYTE),
        WEIGHTS_0=writer.accessor(pair, gl.VEC4, component=gl.UNSIGNED_BYTE, normalized=True),
    )
    if part.finish.is_textured:
        attributes.TEXCOORD_0 = _normalized(writer, part.uv, np.uint16, gl.VEC2)
    return gl.Primitive(
        attributes=attributes,
        indices=writer.accessor(
            part.triangles.astype(np.uint16).reshape(-1, 1), gl.SCALAR,
            component=gl.UNSIGNED_SHORT, target=gl.ELEMENT_ARRAY_BUFFER,
        ),
        material=material,
        targets=[
            {"POSITION": writer.sparse(offset, epsilon), "NORMAL": writer.sparse(tilt, NORMAL_EPSILON)}
            for offset, tilt in zip(part.offsets, part.normal_offsets(uses), strict=True)
        ],
    )  # fmt: skip


def _unit(normals: np.ndarray) -> np.ndarray:
    """Normals at length 1; those of collapsed triangles, which have no direction, point upwards."""
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 0.1, normals / np.maximum(length, 1e-9), [0.0, 1.0, 0.0])


def _normalized(writer: _Writer, values: np.ndarray, dtype: type, kind: str = gl.VEC4) -> int:
    whole = np.round(np.clip(values, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    component = {np.uint8: gl.UNSIGNED_BYTE, np.uint16: gl.UNSIGNED_SHORT}[dtype]
    return writer.accessor(whole, kind, component=component, normalized=True)


def _material(part: Part) -> gl.Material:
    # No viewer shows occlusion of strength 0, and every tool keeps its texture.
    relief = gl.OcclusionTextureInfo(index=1, strength=0.0) if part.finish.surface == "skin" else None
    texture = gl.TextureInfo(index=0) if part.finish.is_textured else None
    return gl.Material(
        name=part.name,
        occlusionTexture=relief,
        doubleSided=part.finish.is_double_sided,
        pbrMetallicRoughness=gl.PbrMetallicRoughness(
            baseColorTexture=texture, metallicFactor=0.0, roughnessFactor=part.finish.roughness
        ),
        extras={"surface": part.finish.surface},
    )


def write_head(path: Path, head: Head, *, texture: bytes, wrinkles: WrinkleMap, extras: dict) -> None:
    """Write a baked head.

    Args:
        path: where to.
        head: what to write.
        texture: JPEG of the atlas.
        wrinkles: folds of its skin.
        extras: licence, author and the like, kept in ``asset.extras``.
    """
    writer = _Writer()
    gltf = writer.gltf
    uses = _uses(head)
    primitives = [_primitive(writer, part, uses, k, head.pivot) for k, part in enumerate(head.parts)]
    names = [*head.controls, *head.correctives]
    inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse[1, 3, :3] = -head.pivot
    bind = writer.accessor(inverse.reshape(2, 16), gl.MAT4, target=None)
    images = {"image/jpeg": texture, "image/png": wrinkles.png}
    gltf.images = [gl.Image(bufferView=writer.view(data), mimeType=kind) for kind, data in images.items()]
    gltf.samplers = [gl.Sampler()]
    gltf.textures = [gl.Texture(source=number, sampler=0) for number in range(len(images))]
    gltf.materials = [_material(part) for part in head.parts]
    described = {
        "targetNames": names,
        "correctives": {name: list(inputs) for name, inputs in head.correctives.items()},
        "drivers": {name: dict(driver) for name, driver in head.drivers.items()},
        "wrinkles": {"texture": 1, **wrinkles.extras},
    }
    gltf.meshes = [gl.Mesh(name=path.stem, primitives=primitives, weights=[0.0] * len(names), extras=described)]
    gltf.nodes = [
        gl.Node(name=path.stem, mesh=0, skin=0),
        gl.Node(name="neck", children=[2]),
        gl.Node(name="head", translation=head.pivot.tolist()),
    ]
    gltf.skins = [gl.Skin(joints=[1, 2], inverseBindMatrices=bind, skeleton=1)]
    gltf.scenes, gltf.scene = [gl.Scene(nodes=[0, 1])], 0
    gltf.asset = gl.Asset(version="2.0", generator="FreeAvatar", copyright=extras.get("license"))
    points = {"landmarks": head.landmarks, "referenceLandmarks": head.reference_landmarks}
    gltf.asset.extras = {**extras, **{name: at.round(5).tolist() for name, at in points.items()}}
    gltf.buffers[0].byteLength = len(writer.data)
    gltf.set_binary_blob(bytes(writer.data))
    path.parent.mkdir(parents=True, exist_ok=True)
    gltf.save_binary(str(path))
