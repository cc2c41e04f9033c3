"""Writing a head as a GLB: one skinned mesh, one primitive a part, sparse morph targets."""

from pathlib import Path

import numpy as np
import pygltflib as gl

from tools.baking.mesh import Part

POSITION_EPSILON = 2e-5
"""Displacements below this (metres) are left out of the sparse targets."""
NORMAL_EPSILON = 6e-3
ROUGHNESS = {"skin": 0.52, "eyes": 0.08, "teeth": 0.22, "tongue": 0.35, "lashes": 0.8}


class _Writer:
    """Collects buffer views and accessors."""

    def __init__(self) -> None:
        self.gltf = gl.GLTF2(bufferViews=[], accessors=[], buffers=[gl.Buffer(byteLength=0)])
        self.data = bytearray()

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
        item = gl.Accessor(componentType=gl.FLOAT, count=len(values), type=gl.VEC3, min=[0.0] * 3, max=[0.0] * 3)
        if len(rows):
            kept = values[rows].astype(np.float32)
            item.min = np.minimum(kept.min(0), 0).tolist()
            item.max = np.maximum(kept.max(0), 0).tolist()
            item.sparse = gl.Sparse(
                count=len(rows),
                indices=gl.AccessorSparseIndices(
                    bufferView=self.view(rows.astype(np.uint16).tobytes()), componentType=gl.UNSIGNED_SHORT
                ),
                values=gl.AccessorSparseValues(bufferView=self.view(kept.tobytes())),
            )
        self.gltf.accessors.append(item)
        return len(self.gltf.accessors) - 1


def _head_weights(positions: np.ndarray, pivot: np.ndarray) -> np.ndarray:
    """How far vertices follow the head: 0 on the shoulders, 1 above the chin, smooth along the neck."""
    t = np.clip((positions[:, 1] - (pivot[1] - 0.125)) / 0.115, 0, 1)
    forward = np.clip((positions[:, 2] - (pivot[2] + 0.05)) / 0.03, 0, 1) * (positions[:, 1] > pivot[1] - 0.09)
    return np.maximum(t * t * (3 - 2 * t), forward)


def _primitive(writer: _Writer, part: Part, material: int, pivot: np.ndarray) -> gl.Primitive:
    f32 = np.float32
    head = _head_weights(part.positions, pivot) if part.name == "skin" else np.ones(len(part.positions))
    weights = np.round(head * 255).astype(np.uint8)
    joints = np.tile(np.array([0, 1, 0, 0], np.uint8), (len(head), 1))
    pair = np.stack([255 - weights, weights, 0 * weights, 0 * weights], axis=1)
    grey = np.concatenate([np.tile(part.shade[:, None], 3), np.ones((len(head), 1))], axis=1)
    colors = np.round(grey * 255).astype(np.uint8)
    return gl.Primitive(
        attributes=gl.Attributes(
            POSITION=writer.accessor(part.positions.astype(f32), gl.VEC3),
            NORMAL=writer.accessor(part.normals.astype(f32), gl.VEC3),
            TEXCOORD_0=writer.accessor(part.uv.astype(f32), gl.VEC2),
            COLOR_0=writer.accessor(colors, gl.VEC4, component=gl.UNSIGNED_BYTE, normalized=True),
            JOINTS_0=writer.accessor(joints, gl.VEC4, component=gl.UNSIGNED_BYTE),
            WEIGHTS_0=writer.accessor(pair, gl.VEC4, component=gl.UNSIGNED_BYTE, normalized=True),
        ),
        indices=writer.accessor(
            part.triangles.astype(np.uint16).reshape(-1, 1), gl.SCALAR,
            component=gl.UNSIGNED_SHORT, target=gl.ELEMENT_ARRAY_BUFFER,
        ),
        material=material,
        targets=[
            {
                "POSITION": writer.sparse(offset, POSITION_EPSILON),
                "NORMAL": writer.sparse(tilt, NORMAL_EPSILON),
            }
            for offset, tilt in zip(part.offsets, part.normal_offsets, strict=True)
        ],
    )  # fmt: skip


def write_head(
    path: Path, parts: list[Part], *, names: tuple[str, ...], texture: bytes, pivot: np.ndarray,
    landmarks: np.ndarray, extras: dict,
) -> None:  # fmt: skip
    """Write a baked head.

    Args:
        path: where to.
        parts: primitives.
        names: names of the morph targets.
        texture: JPEG of the atlas.
        pivot: position of the head joint, ``(3,)``.
        landmarks: five points of the neutral face, ``(5, 3)``: kept in ``asset.extras``.
        extras: licence, author and the like, kept in ``asset.extras``.
    """
    writer = _Writer()
    gltf = writer.gltf
    primitives = [_primitive(writer, part, k, pivot) for k, part in enumerate(parts)]
    inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse[1, 3, :3] = -pivot
    bind = writer.accessor(inverse.reshape(2, 16), gl.MAT4, target=None)
    image = writer.view(texture)
    gltf.images = [gl.Image(bufferView=image, mimeType="image/jpeg")]
    gltf.samplers = [gl.Sampler()]
    gltf.textures = [gl.Texture(source=0, sampler=0)]
    gltf.materials = [
        gl.Material(
            name=part.name, doubleSided=part.name == "lashes",
            pbrMetallicRoughness=gl.PbrMetallicRoughness(
                baseColorTexture=gl.TextureInfo(index=0), metallicFactor=0.0, roughnessFactor=ROUGHNESS[part.name]
            ),
        )
        for part in parts
    ]  # fmt: skip
    gltf.meshes = [
        gl.Mesh(name=path.stem, primitives=primitives, weights=[0.0] * len(names), extras={"targetNames": list(names)})
    ]
    gltf.nodes = [
        gl.Node(name=path.stem, mesh=0, skin=0),
        gl.Node(name="shoulders", children=[2]),
        gl.Node(name="head", translation=pivot.tolist()),
    ]
    gltf.skins = [gl.Skin(joints=[1, 2], inverseBindMatrices=bind, skeleton=1)]
    gltf.scenes, gltf.scene = [gl.Scene(nodes=[0, 1])], 0
    gltf.asset = gl.Asset(version="2.0", generator="FreeAvatar", copyright=extras.get("license"))
    gltf.asset.extras = {**extras, "landmarks": landmarks.round(5).tolist()}
    gltf.buffers[0].byteLength = len(writer.data)
    gltf.set_binary_blob(bytes(writer.data))
    path.parent.mkdir(parents=True, exist_ok=True)
    gltf.save_binary(str(path))
