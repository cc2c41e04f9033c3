import numpy as np
import pytest

from freeavatar.avatars import load_avatar
from freeavatar.faces.align import align_matrix, transform_points
from freeavatar.models.encoder import VIEW
from freeavatar.render import Renderer
from freeavatar.render.face_view import FaceView
from freeavatar.rig import ARKIT


@pytest.fixture(scope="module")
def ines() -> FaceView:
    return FaceView(Renderer(load_avatar("ines")), 112)


def test_eyes_and_mouth_lie_where_the_encoder_sees_those_of_a_tracked_face(ines):
    points = ines.avatar.landmarks
    crop = align_matrix(points[:, :2] * (1, -1))
    left, top, right, _ = VIEW
    expected = (transform_points(crop, points[:, :2] * (1, -1)) - (left, top)) / (right - left) * 112
    camera = ines.camera(np.zeros(52, np.float32))
    clip = np.c_[points, np.ones(5)] @ camera.matrix().T
    found = (clip[:, :2] / clip[:, 3:] + 1) / 2 * 112
    # The landmarks' depths differ, and the camera is not at infinity.
    np.testing.assert_allclose(found[[0, 1, 3, 4]], expected[[0, 1, 3, 4]], atol=1.0)


def test_an_open_jaw_keeps_the_face_in_its_place(ines):
    weights = np.zeros(52, np.float32)
    weights[list(ines.avatar.target_names).index("jawOpen")] = 1
    rest, opened = ines.camera(np.zeros(52, np.float32)), ines.camera(weights)
    assert opened.extent > rest.extent and opened.target[1] < rest.target[1]


def test_a_stranger_without_landmarks_is_framed_by_what_its_targets_move(ines):
    from dataclasses import replace

    stranger = FaceView(Renderer(replace(ines.avatar, landmarks=None)), 112)
    known, guessed = ines.camera(np.zeros(52)), stranger.camera(np.zeros(52))
    assert abs(known.extent - guessed.extent) < 0.15 * known.extent
    assert np.linalg.norm(np.subtract(known.target, guessed.target)[:2]) < 0.1 * known.extent


def test_regions_cover_what_controls_move(ines):
    mouth, eyes = (ines.region(names) for names in (("mouthPucker",), ("eyeBlinkLeft", "eyeBlinkRight")))
    assert 0.02 < mouth.mean() < 0.3 and 0.02 < eyes.mean() < 0.3
    assert np.nonzero(mouth)[0].mean() > np.nonzero(eyes)[0].mean() + 20
    rest = ines.neutral().astype(int)
    weights = np.zeros(52, np.float32)
    weights[[ARKIT.index("eyeBlinkLeft"), ARKIT.index("eyeBlinkRight")]] = 1
    change = np.abs(ines.picture(weights).astype(int) - rest).sum(2)
    assert change[eyes].sum() > 0.8 * change.sum()
