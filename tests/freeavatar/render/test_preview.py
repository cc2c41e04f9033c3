"""Portraits and sheets of an avatar."""

import cv2
import numpy as np
import pytest

from freeavatar.avatars import load_avatar
from freeavatar.render.preview import EXTREME, NATURAL, write_previews
from freeavatar.rig import ARKIT
from tests.heads import HeadFile


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("previews")
    file = HeadFile([("jawOpen", "eyeBlink_L", "eyeBlink_R")], scale=100)
    write_previews(load_avatar(file.save(folder / "robin.glb")), folder)
    return {path.stem: cv2.imread(str(path)) for path in folder.glob("*.png")}


def test_portrait_targets_and_combinations_are_written(pictures):
    assert {name: image.shape for name, image in pictures.items()} == {
        "robin": (640, 512, 3),
        "robin_targets": (256, 9 * 256, 3),
        "robin_combinations": (4 * 256, 6 * 256, 3),
    }


def test_the_head_stands_in_the_middle_of_the_portrait_whatever_its_units(pictures):
    image = pictures["robin"].astype(int)
    # Skin is warm, the backdrop is not.
    y, x = np.nonzero(image[..., 2] - image[..., 0] > -2)
    assert abs(x.mean() - 256) < 30 and np.ptp(x) > 150 and abs(y.mean() - 320) < 90


def test_combinations_name_only_arkits_blendshapes():
    assert len(NATURAL) == 12
    for mix in (*NATURAL.values(), *EXTREME.values()):
        assert set(mix) <= set(ARKIT) and all(0 < weight <= 1 for weight in mix.values())
