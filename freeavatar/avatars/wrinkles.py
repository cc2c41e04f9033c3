"""Wrinkles: layers of height over an avatar's skin that come and go with its weights, declared in a GLB's extras."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import cv2
import numpy as np

from freeavatar.avatars.avatar import WrinkleLayer, Wrinkles
from freeavatar.avatars.gltf import Gltf
from freeavatar.avatars.materials import read_texture
from freeavatar.errors import AvatarError

FLAT, STEPS = 128, 127
"""The byte of a flat texel, and how many steps above it stand for the whole depth."""
SMOOTHING = 0.8
"""Blur of the heights before their slopes are taken, in texels: bytes alone would leave terraces."""


def read_wrinkles(gltf: Gltf, controls: Collection[str], unused: Collection[str]) -> Wrinkles | None:
    """What the extras of a file's meshes declare under ``wrinkles``; None if nothing.

    Args:
        gltf: the file.
        controls: names of the avatar's controls.
        unused: names of targets that nothing drives: what depends on them is left out.

    Raises:
        AvatarError: a texture, channel, box or control is not there, or an entry is not as it should be.
    """
    extras = (mesh.extras for mesh in gltf.meshes if isinstance(mesh.extras, dict))
    declared = next((item["wrinkles"] for item in extras if item.get("wrinkles")), None)
    if declared is None:
        return None
    try:
        index, depth = declared["texture"], float(declared["depth"])
        if not (isinstance(index, int) and 0 <= index < len(gltf.textures)):
            raise ValueError(f"texture {index} of {len(gltf.textures)}")
        if not 0 < depth < math.inf:
            raise ValueError(f"depth {depth}")
        worn = [item.occlusionTexture and item.occlusionTexture.get("index") for item in gltf.materials]
        if index not in worn:
            raise ValueError(f"texture {index} is the occlusionTexture of no material")
        relief = _relief(read_texture(gltf, index), depth)
        layers = [_read_layer(item, relief, controls, unused) for item in declared["layers"]]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise AvatarError("its wrinkles are damaged ({!r}): correct extras.wrinkles of the mesh.", error) from error
    return Wrinkles(tuple(k for k, texture in enumerate(worn) if texture == index), tuple(layers))


def _relief(image: np.ndarray, depth: float) -> np.ndarray:
    """Metres of each channel with their slopes along u and v: ``(h, w, 3 channels, 3)`` float32."""
    heights = (image.astype(np.float32) - FLAT) * (depth / STEPS)
    smooth = cv2.GaussianBlur(heights, (0, 0), SMOOTHING, borderType=cv2.BORDER_REPLICATE)
    along_v, along_u = np.gradient(smooth, axis=(0, 1))
    return np.stack([smooth, along_u * image.shape[1], along_v * image.shape[0]], axis=-1)


def _read_layer(
    item: Mapping[str, Any], relief: np.ndarray, controls: Collection[str], unused: Collection[str]
) -> WrinkleLayer:
    name, channel = str(item["name"]), item["channel"]
    if channel not in (0, 1, 2):
        raise ValueError(f"layer {name}: channel {channel}")
    u0, v0, u1, v1 = map(float, item["box"])
    if not (0 <= u0 < u1 <= 1 and 0 <= v0 < v1 <= 1):
        raise ValueError(f"layer {name}: box {u0}, {v0}, {u1}, {v1}")
    height, width = relief.shape[:2]
    x0, y0 = math.floor(u0 * width), math.floor(v0 * height)
    x1, y1 = math.ceil(u1 * width), math.ceil(v1 * height)
    terms = []
    for coefficient, inputs in item["weight"]:
        names = [str(entry) for entry in inputs]
        bare = {entry.removeprefix("!") for entry in names}
        if not math.isfinite(coefficient):
            raise ValueError(f"layer {name}: coefficient {coefficient}")
        if strange := bare - set(controls) - set(unused):
            raise ValueError(f"layer {name}: no target is called {min(strange)}")
        if bare <= set(controls):
            terms.append((float(coefficient), tuple(names)))
    return WrinkleLayer(
        name=name,
        box=(x0 / width, y0 / height, x1 / width, y1 / height),
        heights=np.ascontiguousarray(relief[y0:y1, x0:x1, channel]),
        terms=tuple(terms),
    )
