"""Folds painted over a flat face: where they lie, what brings them, and how they share a picture."""

import cv2
import numpy as np
import pytest

from freeavatar.avatars.wrinkles import FLAT
from freeavatar.rig import ARKIT
from tools.baking.atlas import TILES, TexelMap
from tools.baking.rigs import ARTIST_RIG, VRM_RIG, arkit_rig
from tools.baking.wrinkles import DEPTH, FOLDS, paint_wrinkles, wrinkle_map

SIZE, UNIT = 512, 0.06
ARKIT_RIG = arkit_rig(ARKIT)


@pytest.fixture(scope="module")
def texels():
    """A flat face whose head tile shows 4 x 4 distances between the eyes."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    position = np.stack([(x / TILES["head"][2] - 0.5) * 4, 1.2 - y * 4, 0 * x], axis=-1) * UNIT
    return TexelMap(
        position.astype(np.float32), np.zeros((SIZE, SIZE, 2), np.float32), {"skin": np.ones((SIZE, SIZE), bool)}
    )


@pytest.fixture(scope="module")
def layers(texels):
    return {layer.name: layer for layer in paint_wrinkles(texels, UNIT)}


def test_sides_are_mirror_images_and_follow_their_own_side(layers):
    left, right = layers["nasolabialLeft"], layers["nasolabialRight"]
    assert {name for _, inputs in left.terms for name in inputs} == {
        name.replace("Right", "Left") for _, inputs in right.terms for name in inputs
    }
    assert left.heights.min() == pytest.approx(right.heights.min(), abs=0.02)
    assert left.texels[1].start > right.texels[1].stop, "the avatar's left lies at image right"
    assert len(layers) == sum(1 + fold.is_sided for fold in FOLDS.values())


def test_terms_name_targets_of_arkit(layers):
    assert {name for layer in layers.values() for _, inputs in layer.terms for name in inputs} <= set(ARKIT)


def test_furrows_go_down_and_cheeks_up(layers):
    assert layers["frownLeft"].heights.min() < -0.4 and layers["cheekLeft"].heights.min() == 0
    assert layers["cheekLeft"].heights.max() > 0.5


def test_layers_fade_within_their_boxes(layers):
    for layer in layers.values():
        border = [*layer.heights[[0, -1]], *layer.heights[:, [0, -1]].T]
        assert max(np.abs(edge).max() for edge in border) < 0.2


@pytest.mark.parametrize("rig", [ARKIT_RIG, VRM_RIG, ARTIST_RIG])
def test_layers_share_one_picture_and_follow_the_rig(layers, rig):
    made = wrinkle_map(list(layers.values()), SIZE, rig, age=0.5)
    image = cv2.imdecode(np.frombuffer(made.png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert image.shape == (SIZE, SIZE, 3) and (image == FLAT).mean() > 0.8
    assert made.extras["depth"] > 1.4 * DEPTH
    for item in made.extras["layers"]:
        u0, v0, u1, v1 = np.round(np.array(item["box"]) * SIZE).astype(int)
        found = image[v0:v1, u0:u1, item["channel"]]
        assert abs(found.astype(int) - FLAT).max() == pytest.approx(
            127 * np.abs(layers[item["name"]].heights).max(), abs=1
        )
        assert {name for _, inputs in item["weight"] for name in inputs} <= set(rig.controls)
    frown = next(item for item in made.extras["layers"] if item["name"] == "frownLeft")
    assert frown["weight"], "every rig can frown"


def test_too_many_layers_are_refused(layers):
    with pytest.raises(ValueError, match="no channel has room for worry"):
        wrinkle_map([layers["worry"]] * 4, SIZE, ARKIT_RIG, age=0)
