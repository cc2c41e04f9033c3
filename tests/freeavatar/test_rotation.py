"""Rotations: known values, axes of the glTF head, composition and continuity."""

import numpy as np
import pytest

from freeavatar.rotation import (
    continuous,
    head_quaternion,
    inverse,
    matrix_quaternion,
    multiply,
    quaternion_matrix,
)

HALF = np.sqrt(0.5)


def rotate(quaternion: np.ndarray, vector: tuple[float, float, float]) -> np.ndarray:
    pure = np.array([*vector, 0.0])
    return multiply(multiply(quaternion, pure), inverse(quaternion))[:3]


def matrix(quaternion: np.ndarray) -> np.ndarray:
    return np.stack([rotate(quaternion, tuple(axis)) for axis in np.eye(3)], axis=1)


def test_known_values() -> None:
    np.testing.assert_allclose(head_quaternion(0, 0, 0), (0, 0, 0, 1))
    np.testing.assert_allclose(head_quaternion(90, 0, 0), (0, HALF, 0, HALF))
    np.testing.assert_allclose(head_quaternion(0, 90, 0), (HALF, 0, 0, HALF))
    np.testing.assert_allclose(head_quaternion(0, 0, 90), (0, 0, -HALF, HALF))


def test_axes_are_those_of_the_package() -> None:
    np.testing.assert_allclose(rotate(head_quaternion(90, 0, 0), (0, 0, 1)), (1, 0, 0), atol=1e-12)
    np.testing.assert_allclose(rotate(head_quaternion(0, 90, 0), (0, 0, 1)), (0, -1, 0), atol=1e-12)
    np.testing.assert_allclose(rotate(head_quaternion(0, 0, 90), (0, 1, 0)), (1, 0, 0), atol=1e-12)


def test_roll_is_applied_first_and_yaw_last() -> None:
    parts = [head_quaternion(30, 0, 0), head_quaternion(0, 20, 0), head_quaternion(0, 0, 10)]
    np.testing.assert_allclose(head_quaternion(30, 20, 10), multiply(multiply(parts[0], parts[1]), parts[2]))


def test_arrays_give_one_unit_quaternion_each() -> None:
    angles = np.random.default_rng(0).uniform(-180, 180, (3, 7))
    quaternions = head_quaternion(*angles)
    assert quaternions.shape == (7, 4)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1)
    np.testing.assert_allclose(quaternions[3], head_quaternion(*angles[:, 3]))


def test_continuous_keeps_the_rotations_without_a_flip() -> None:
    smooth = head_quaternion(np.linspace(0, 720, 50), np.zeros(50), np.zeros(50))
    flipped = smooth * np.random.default_rng(0).choice((-1, 1), (50, 1))
    result = continuous(flipped)
    assert ((result[1:] * result[:-1]).sum(1) > 0).all()
    np.testing.assert_allclose(np.abs((result * smooth).sum(1)), 1)


@pytest.mark.parametrize("angles", [(0, 0, 0), (180, 0, 0), (0, 180, 0), (0, 0, 180), (35, -80, 170)])
def test_matrix_quaternion_inverts(angles: tuple[float, float, float]) -> None:
    expected = matrix(head_quaternion(*angles))
    np.testing.assert_allclose(matrix(matrix_quaternion(expected)), expected, atol=1e-9)


def test_matrices_turn_vectors_as_quaternions_do() -> None:
    np.testing.assert_allclose(quaternion_matrix(head_quaternion(90, 0, 0)) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(quaternion_matrix(head_quaternion(0, 90, 0)) @ [0, 0, 1], [0, -1, 0], atol=1e-12)
    turned = quaternion_matrix(head_quaternion([10.0, 20.0], [5.0, -5.0], [0.0, 30.0]))
    np.testing.assert_allclose(turned @ turned.mT, np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-12)
