import numpy as np
import pytest

from freeavatar.errors import FaceError
from freeavatar.faces import head_pose

FACE = np.array([(53.7, 62.1), (90.3, 62.1), (72, 85.1), (56.4, 101.8), (87.6, 101.8)])
HEAD = np.array([(-31.5, 0, 0), (31.5, 0, 0), (0, 37.5, 40), (-24.6, 69.7, 8), (24.6, 69.7, 8)])
"""An average head, in millimetres: x to the image's right, y down, z to the camera."""


def project(*, yaw: float = 0, pitch: float = 0, roll: float = 0) -> np.ndarray:
    """Weak perspective; roll outermost, then yaw, then pitch."""
    yaw, pitch, roll = np.radians((yaw, pitch, roll))
    x, y, z = HEAD.T
    y, z = y * np.cos(pitch) + z * np.sin(pitch), z * np.cos(pitch) - y * np.sin(pitch)
    x = x * np.cos(yaw) + z * np.sin(yaw)
    return np.stack((x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)), axis=1)


def test_average_face_looks_ahead() -> None:
    yaw, pitch, roll = head_pose(FACE)
    assert (yaw, roll) == pytest.approx((0, 0), abs=1e-6)
    assert abs(pitch) < 5


@pytest.mark.parametrize("angle", [-30, -15, 15, 30])
def test_yaw_follows_a_turned_head(angle: float) -> None:
    yaw, _, roll = head_pose(project(yaw=angle))
    assert yaw == pytest.approx(angle, rel=0.4)
    assert abs(roll) < 3


@pytest.mark.parametrize("angle", [-20, -10, 10, 20])
def test_pitch_follows_a_nodding_head(angle: float) -> None:
    yaw, pitch, roll = head_pose(project(pitch=angle))
    assert pitch - head_pose(project())[1] == pytest.approx(angle, rel=0.5)
    assert (yaw, roll) == pytest.approx((0, 0), abs=1e-6)


@pytest.mark.parametrize("angle", [-150, -60, -20, 35, 90])
def test_roll_is_the_turn_in_the_image_and_leaves_the_rest_alone(angle: float) -> None:
    upright, rolled = head_pose(project(yaw=12, pitch=8)), head_pose(project(yaw=12, pitch=8, roll=angle))
    assert rolled[2] - upright[2] == pytest.approx(angle)
    assert rolled[:2] == pytest.approx(upright[:2])


def test_signs() -> None:
    assert head_pose(FACE + np.eye(5)[2][:, None] * (5, 0))[0] > 5, "nose to the right edge"
    assert head_pose(FACE + np.eye(5)[2][:, None] * (0, 4))[1] > head_pose(FACE)[1] + 5, "nose down"
    assert head_pose(FACE + (FACE[:, :1] - 72) * (0, 0.1))[2] > 2, "eye at image right lower: clockwise"


def test_mirror_turns_yaw_and_roll() -> None:
    points = FACE + np.random.default_rng(0).normal(0, 3, FACE.shape)
    yaw, pitch, roll = head_pose(points)
    assert head_pose((points * (-1, 1) + (500, 0))[[1, 0, 2, 4, 3]]) == pytest.approx((-yaw, pitch, -roll))


def test_size_and_place_do_not_matter() -> None:
    points = FACE + np.random.default_rng(1).normal(0, 3, FACE.shape)
    assert head_pose(points * 7 + (300, -40)) == pytest.approx(head_pose(points))


def test_angles_stay_in_range() -> None:
    points = FACE.copy()
    points[2] += (200, 300)
    assert head_pose(points)[:2] == (90, 90)


def test_points_without_a_shape_are_an_error() -> None:
    with pytest.raises(FaceError, match="do not span a face"):
        head_pose(np.zeros((5, 2)))
