"""Wrinkles declared in a GLB: read, checked, kept by an export."""

from fractions import Fraction

import cv2
import numpy as np
import pygltflib
import pytest

from freeavatar.avatars import load_avatar
from freeavatar.avatars.gltf import open_glb
from freeavatar.errors import AvatarError
from freeavatar.export.glb import write_animated_glb
from freeavatar.rig import Controls

LAYER = {"name": "frown", "channel": 1, "box": [0.25, 0.5, 0.5, 1.0], "weight": [[0.5, ["browDownLeft", "!jawOpen"]]]}


def write(path, *, layer=LAYER, **changes):
    """The avatar ines with one layer, a ridge on one line of a 32 x 64 map."""
    gltf = pygltflib.GLTF2().load_binary(str(load_avatar("ines").path))
    image = np.full((64, 32, 3), 128, np.uint8)
    image[:, 12, 1] = 255
    data = cv2.imencode(".png", image)[1].tobytes()
    blob = gltf.binary_blob()
    blob += bytes(-len(blob) % 4)
    gltf.bufferViews.append(pygltflib.BufferView(buffer=0, byteOffset=len(blob), byteLength=len(data)))
    gltf.images.append(pygltflib.Image(bufferView=len(gltf.bufferViews) - 1, mimeType="image/png"))
    gltf.textures.append(pygltflib.Texture(source=len(gltf.images) - 1))
    texture = len(gltf.textures) - 1
    gltf.materials[0].occlusionTexture = pygltflib.OcclusionTextureInfo(index=texture, strength=0.0)
    gltf.meshes[0].extras["wrinkles"] = {"texture": texture, "depth": 0.001, "layers": [layer]} | changes
    gltf.buffers[0].byteLength = len(blob) + len(data)
    gltf.set_binary_blob(blob + data)
    gltf.save_binary(str(path))
    return path


def test_layers_are_read_in_metres_with_their_slopes(tmp_path):
    wrinkles = load_avatar(write(tmp_path / "a.glb")).wrinkles
    assert wrinkles is not None and wrinkles.materials == (0,)
    (layer,) = wrinkles.layers
    assert (layer.name, layer.box, layer.heights.shape) == ("frown", (0.25, 0.5, 0.5, 1.0), (32, 8, 3))
    height, along_u, along_v = np.moveaxis(layer.heights, 2, 0)
    assert 0.0004 < height[:, 4].min() <= height.max() < 0.001 and height.argmax(1).tolist() == [4] * 32
    np.testing.assert_allclose(along_v, 0, atol=1e-7)
    np.testing.assert_allclose(along_u[:, 5], (height[:, 6] - height[:, 4]) / 2 * 32, rtol=1e-4)
    assert layer.weight({"browDownLeft": 0.8, "jawOpen": 0.25}) == pytest.approx(0.5 * 0.8 * 0.75)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texture": 9}, "texture 9"),
        ({"texture": "one"}, "texture one"),
        ({"texture": 0}, "occlusionTexture of no material"),
        ({"depth": 0}, "depth 0"),
        ({"depth": None}, "damaged"),
        ({"layers": 3}, "damaged"),
        ({"layer": LAYER | {"channel": 3}}, "frown: channel 3"),
        ({"layer": LAYER | {"box": [0.5, 0.5, 0.25, 1.0]}}, "frown: box"),
        ({"layer": LAYER | {"box": [0.0, 0.0, 1.5, 1.0]}}, "frown: box"),
        ({"layer": LAYER | {"box": [0.0, 0.0, 1.0]}}, "damaged"),
        ({"layer": LAYER | {"weight": [[1.0, ["browDwn"]]]}}, "no target is called browDwn"),
        ({"layer": LAYER | {"weight": [["much", ["jawOpen"]]]}}, "damaged"),
        ({"layer": {"name": "frown"}}, "damaged"),
    ],
)
def test_what_is_not_there_is_refused_by_its_name(tmp_path, changes, message):
    with pytest.raises(AvatarError, match=message):
        load_avatar(write(tmp_path / "a.glb", **changes))


def test_an_export_keeps_wrinkles(tmp_path):
    source = write(tmp_path / "a.glb")
    avatar = load_avatar(source)
    count = len(avatar.target_names)
    performance = Controls(
        rate=Fraction(10), avatar="a", names=avatar.target_names, times=np.array([0.0, 0.1]),
        weights=np.zeros((2, count)), head=np.zeros((2, 3)), confidence=np.ones(2),
    )  # fmt: skip
    write_animated_glb(source, performance, tmp_path / "b.glb")
    before, after = open_glb(source), open_glb(tmp_path / "b.glb")
    assert after.meshes[0].extras == before.meshes[0].extras and after.materials == before.materials
    np.testing.assert_array_equal(
        load_avatar(tmp_path / "b.glb").wrinkles.layers[0].heights, avatar.wrinkles.layers[0].heights
    )
