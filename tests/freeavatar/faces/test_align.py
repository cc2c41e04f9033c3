import csv
from itertools import islice

import cv2
import numpy as np
import pytest

from freeavatar.errors import FaceError
from freeavatar.faces import CROP_SIZE, align_matrix, crop_face
from freeavatar.faces.align import inverse_matrix, transform_points
from tests.files import SHARED

FACE = np.array([(100.0, 100), (140, 100), (118, 125), (104, 136), (136, 136)])


def similarity(*, turn: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    cos, sin = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def ramps(height: int, width: int) -> np.ndarray:
    """Red grows with x, green with y, by 100 over the image, measured at the middle of each pixel."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack((50 + 100 * x / width, 50 + 100 * y / height, 0 * x), axis=2).round().astype(np.uint8)


def test_align_matrix_of_wide_eyes_by_hand() -> None:
    matrix = align_matrix(FACE)  # eyes 40 apart, mouth 36 below: side 3.8 * 40, centre (120, 109)
    scale = 144 / 152
    expected = [[scale, 0, 72 - 120 * scale], [0, scale, 72 - 109 * scale]]
    np.testing.assert_allclose(matrix, expected, atol=1e-12)


def test_align_matrix_keeps_the_size_of_a_head_in_profile() -> None:
    points = FACE.copy()
    points[:2, 0] = 116, 124
    assert np.hypot(*align_matrix(points)[:, 0]) == pytest.approx(144 / (3.4 * 36))


def test_nose_does_not_move_the_crop() -> None:
    points = FACE.copy()
    points[2] += 20
    np.testing.assert_array_equal(align_matrix(points), align_matrix(FACE))


def test_align_matrix_undoes_any_similarity() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        face = FACE + rng.normal(0, 4, FACE.shape)
        move = similarity(
            turn=rng.uniform(-180, 180), scale=rng.uniform(0.2, 5), shift=tuple(rng.uniform(-500, 500, 2))
        )
        moved = align_matrix(transform_points(move, face))
        np.testing.assert_allclose(
            transform_points(moved, transform_points(move, face)), transform_points(align_matrix(face), face), atol=1e-8
        )
        assert np.linalg.det(moved[:, :2]) > 0


def test_mirrored_points_give_the_mirrored_crop() -> None:
    face = FACE + np.random.default_rng(1).normal(0, 4, FACE.shape)
    mirrored = (face * (-1, 1) + (640, 0))[[1, 0, 2, 4, 3]]
    crop = transform_points(align_matrix(face), face)
    expected = (crop * (-1, 1) + (CROP_SIZE, 0))[[1, 0, 2, 4, 3]]
    np.testing.assert_allclose(transform_points(align_matrix(mirrored), mirrored), expected, atol=1e-9)


def test_inverse_matrix_round_trip() -> None:
    matrix = align_matrix(FACE)
    np.testing.assert_allclose(
        transform_points(inverse_matrix(matrix), transform_points(matrix, FACE)), FACE, atol=1e-9
    )


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan)])
def test_points_without_a_shape_are_an_error(points: np.ndarray) -> None:
    with pytest.raises(FaceError, match=r"do not span a face.*detect the face again"):
        align_matrix(points)


@pytest.mark.parametrize(("height", "width"), [(200, 240), (1000, 1200), (120, 144)])
def test_crop_samples_the_image_where_the_matrix_says(height: int, width: int) -> None:
    image = ramps(height, width)
    points = transform_points(similarity(turn=9, scale=height / 240), FACE + (15, -15))
    crop = crop_face(image, points)
    assert crop.shape == (144, 144, 3) and crop.dtype == np.uint8
    y, x = np.mgrid[:144, :144] + 0.5
    source = transform_points(inverse_matrix(align_matrix(points)), np.stack((x, y), axis=2))
    inside = ((source > 1) & (source < (width - 1, height - 1))).all(axis=2)
    assert inside.mean() > 0.8
    expected = 50 + 100 * source / (width, height)
    np.testing.assert_allclose(crop[..., :2][inside], expected[inside], atol=1.0)


def test_crop_outside_the_image_repeats_its_border() -> None:
    image = np.full((200, 240, 3), 30, np.uint8)
    image[:, :2] = (200, 10, 60)
    crop = crop_face(image, FACE - (100, 0))
    assert (crop[40:100, :50] == (200, 10, 60)).all()


@pytest.mark.parametrize("factor", [3, 8])
def test_fine_pattern_does_not_alias(factor: int) -> None:
    checker = (np.indices((300 * factor, 300 * factor)).sum(0) % 2 * 255).astype(np.uint8)
    crop = crop_face(np.dstack([checker] * 3), FACE * factor)
    assert np.abs(crop[5:-5, 5:-5].astype(int) - 127).max() <= 10


def test_turned_and_scaled_frame_gives_the_same_crop() -> None:
    rng = np.random.default_rng(2)
    image = cv2.GaussianBlur(rng.integers(0, 256, (300, 300, 3)).astype(np.uint8), (0, 0), 3)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    move = similarity(turn=25, scale=2.2, shift=(200, -20))
    index = np.column_stack((move[:, :2], move[:, 2] + move[:, :2].sum(1) / 2 - 0.5))
    turned = cv2.warpAffine(image, index, (1000, 1000), flags=cv2.INTER_CUBIC)
    difference = cv2.absdiff(crop_face(image, FACE), crop_face(turned, transform_points(move, FACE)))
    assert difference.mean() < 1 and difference.max() < 16


def test_size_scales_the_whole_crop() -> None:
    image = ramps(300, 300)
    half = cv2.resize(crop_face(image, FACE), (72, 72), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(crop_face(image, FACE, size=72), half, atol=1)


def test_dataset_crops_are_their_own_crops() -> None:
    labels = SHARED / "faces" / "labels.csv"
    if not labels.is_file():
        pytest.skip("shared data absent")
    with labels.open(newline="") as file:
        rows = list(islice(csv.reader(file), 1, 2001))
    points = np.array([row[5:15] for row in rows], np.float64).reshape(-1, 5, 2)
    corners = np.array([(0, 0), (144, 0), (144, 144), (0, 144)])
    moved = [np.abs(transform_points(align_matrix(face), corners) - corners).max() for face in points]
    assert np.percentile(moved, 99) < 0.6
