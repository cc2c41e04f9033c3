"""Camera: what lands where in clip space."""

import numpy as np
import pytest

from freeavatar.render.camera import Camera

CAMERA = Camera((0.1, 1.6, 0.05), 0.3)


def project(point: tuple[float, float, float], aspect: float = 1.0) -> np.ndarray:
    clip = CAMERA.matrix(aspect) @ np.array([*point, 1.0])
    assert clip[3] > 0
    return clip[:3] / clip[3]


@pytest.mark.parametrize("aspect", [0.5, 1.0, 1.7])
def test_the_target_is_in_the_middle_and_the_extent_fills_the_height(aspect: float) -> None:
    x, y, z = CAMERA.target
    np.testing.assert_allclose(project((x, y, z), aspect)[:2], 0, atol=1e-5)
    np.testing.assert_allclose(project((x, y + 0.15, z), aspect)[:2], (0, -1), atol=1e-5)
    np.testing.assert_allclose(project((x + 0.15 * aspect, y - 0.15, z), aspect)[:2], (1, 1), atol=1e-5)


def test_nearer_points_are_larger_and_have_less_depth() -> None:
    x, y, z = CAMERA.target
    near, far = project((x + 0.1, y, z + 0.1)), project((x + 0.1, y, z - 0.1))
    assert near[0] > far[0] and -1 < near[2] < far[2] < 1


def test_the_eye_sees_the_extent_under_its_angle() -> None:
    for angle in (10.0, 22.0, 60.0):
        camera = Camera((0, 0, 0), 0.3, field_of_view=angle)
        assert np.degrees(2 * np.arctan(0.15 / camera.distance)) == pytest.approx(angle)
        np.testing.assert_allclose(camera.eye, (0, 0, camera.distance))


def test_yaw_looks_from_the_right_and_pitch_from_above() -> None:
    right, above = Camera((0, 1, 0), 0.3, yaw=90), Camera((0, 1, 0), 0.3, pitch=30)
    np.testing.assert_allclose(right.eye, (right.distance, 1, 0), atol=1e-9)
    np.testing.assert_allclose(above.eye - above.target, above.distance * np.array([0, 0.5, np.sqrt(0.75)]), atol=1e-9)


@pytest.mark.parametrize("turn", [(0, 0), (35, 0), (-120, 20), (10, -80)])
def test_orbiting_keeps_the_target_in_the_middle_upright_and_as_large(turn: tuple[float, float]) -> None:
    camera = Camera((0.1, 1.6, 0.05), 0.3, yaw=turn[0], pitch=turn[1])
    np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(camera.axes) == pytest.approx(1)
    top = np.array(camera.target) + 0.15 * camera.axes[1]
    clip = camera.matrix() @ [*top, 1.0]
    np.testing.assert_allclose(clip[:2] / clip[3], (0, -1), atol=1e-5)
    higher = camera.matrix() @ [*(np.array(camera.target) + (0, 0.01, 0)), 1.0]
    assert higher[1] < 0
