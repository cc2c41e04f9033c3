"""Materials of a GLB: colours, textures, and how light behaves on them."""

import cv2
import numpy as np

from freeavatar.avatars.avatar import Material, Surface
from freeavatar.avatars.gltf import Gltf, Part
from freeavatar.errors import AvatarError


def read_texture(gltf: Gltf, index: int) -> np.ndarray:
    """A texture of the file, RGB ``(h, w, 3)`` uint8."""
    source = gltf.textures[index].source
    image = None if source is None else gltf.images[source]
    if image is None or image.bufferView is None:
        raise AvatarError("a texture of the GLB is not inside it as PNG or JPEG: pack it and export again.")
    view = gltf.bufferViews[image.bufferView]
    start = view.byteOffset or 0
    data = np.frombuffer(gltf.data[start : start + view.byteLength], np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if pixels is None:
        raise AvatarError("a texture of the GLB is neither PNG nor JPEG: convert it and export again.")
    return np.ascontiguousarray(pixels[..., ::-1])


_SURFACE_WORDS: tuple[tuple[Surface, tuple[str, ...]], ...] = (
    ("plain", ("brow", "lash")),
    ("mouth", ("teeth", "tongue", "mouth", "gum")),
    ("hair", ("hair", "beard")),
    ("eye", ("eye", "cornea", "iris")),
    ("skin", ("skin", "face", "head", "body")),
)


def _surface_of(material: Part) -> Surface:
    """What the file says (``material.extras.surface``), else what the material's name suggests."""
    extras = material.extras if isinstance(material.extras, dict) else {}
    for surface, _ in _SURFACE_WORDS:
        if extras.get("surface") == surface:
            return surface
    name = (material.name or "").lower()
    return next((surface for surface, words in _SURFACE_WORDS if any(w in name for w in words)), "plain")


def read_materials(gltf: Gltf) -> tuple[Material, ...]:
    """The file's materials, then a plain one for primitives without.

    Raises:
        AvatarError: a texture is not in the file, or is neither PNG nor JPEG.
    """
    textures: dict[int, np.ndarray] = {}
    found = []
    for item in gltf.materials or []:
        pbr = item.pbrMetallicRoughness or Part()
        red, green, blue = (float(c) for c in (pbr.baseColorFactor or [1, 1, 1, 1])[:3])
        texture = None
        if pbr.baseColorTexture:
            index = pbr.baseColorTexture.index
            texture = textures[index] = textures[index] if index in textures else read_texture(gltf, index)
        roughness = 1.0 if pbr.roughnessFactor is None else float(pbr.roughnessFactor)
        found.append(Material(item.name or "", (red, green, blue), roughness, texture, _surface_of(item)))
    return (*found, Material("default", (0.8, 0.8, 0.8), 0.6, None))
