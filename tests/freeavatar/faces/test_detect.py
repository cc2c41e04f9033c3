from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from freeavatar.faces import CROP_SIZE, Face, align_matrix, crop_face, detect_faces, head_pose, refine_face
from freeavatar.faces.align import transform_points
from freeavatar.faces.detect import FaceMeter
from freeavatar.faces.retina import RetinaFace, overlap
from tests.drawn_faces import POINTS, blank, distance, draw_face, place


@pytest.mark.parametrize("size", [96, 256, 700])
def test_points_of_a_drawn_face(size: int) -> None:
    (face,) = detect_faces(draw_face(size))
    assert face.points.shape == (5, 2) and face.points.dtype == np.float32
    assert 0.9 < face.score <= 1
    assert distance(face.points, POINTS * size) < 6
    left, top, right, bottom = face.box
    assert ((left, top) < face.points).all() and (face.points < (right, bottom)).all()
    refined = refine_face(draw_face(size), face.points)
    assert refined is not None and distance(refined.points, POINTS * size) < 3


def test_points_are_finer_than_pixels() -> None:
    image = cv2.GaussianBlur(place(blank(400, 400), draw_face(256), 60, 60), (0, 0), 1)
    start = POINTS * 256 + 60
    found = []
    for shift in (0, 0.25, 0.5, 0.75):
        moved = cv2.warpAffine(
            image, np.array([[1, 0, shift], [0, 1, 0.0]]), (400, 400), borderMode=cv2.BORDER_REPLICATE
        )
        face = refine_face(moved, start)
        assert face is not None
        found.append(face.points[:, 0].mean())
    np.testing.assert_allclose(np.diff(found), 0.25, atol=0.12)


def test_largest_face_comes_first() -> None:
    image = place(place(blank(480, 800), draw_face(200), 20, 40), draw_face(400), 350, 40)
    large, small = detect_faces(image)
    assert large.area > 2 * small.area
    assert large.points[:, 0].min() > 350 and small.points[:, 0].max() < 220


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (240, 320), (700, 500)])
def test_blank_image_has_no_face(shape: tuple[int, int]) -> None:
    assert detect_faces(blank(*shape)) == []


def test_noise_has_no_face() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (360, 480, 3)).astype(np.uint8)
    assert detect_faces(noise) == []
    assert detect_faces(cv2.GaussianBlur(noise, (0, 0), 6)) == []


def test_small_face_in_a_large_frame_is_found_at_a_finer_scale() -> None:
    image = place(blank(1080, 1920), draw_face(100), 1500, 700)
    assert detect_faces(image, largest_side=320) == []
    (face,) = detect_faces(image)
    assert distance(face.points, POINTS * 100 + (1500, 700)) < 10
    refined = refine_face(image, face.points)
    assert refined is not None and distance(refined.points, POINTS * 100 + (1500, 700)) < 4


def test_mirror_image_has_mirrored_points_and_pose() -> None:
    image = place(blank(300, 400), draw_face(256, gaze=0.015), 60, 20)
    turned = cv2.warpAffine(
        image, cv2.getRotationMatrix2D((190, 150), -12, 1), (400, 300), borderMode=cv2.BORDER_REPLICATE
    )
    start = detect_faces(turned)[0].points
    face = refine_face(turned, start)
    mirrored_start = (start * (-1, 1) + (400, 0))[[1, 0, 2, 4, 3]]
    mirrored = refine_face(np.ascontiguousarray(turned[:, ::-1]), mirrored_start)
    assert face is not None and mirrored is not None
    assert distance(mirrored.points, face.mirrored(400).points) < 0.05
    yaw, pitch, roll = head_pose(face.points)
    assert head_pose(mirrored.points) == pytest.approx((-yaw, pitch, -roll), abs=0.2)
    assert roll == pytest.approx(12, abs=2), "clockwise in the image"


def test_turned_and_scaled_frame_gives_the_same_crop() -> None:
    image = place(blank(400, 400), draw_face(256), 72, 72)
    turn = cv2.getRotationMatrix2D((200, 200), 20, 1.4)
    turned = cv2.warpAffine(image, turn, (400, 400), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    crops = []
    for picture in (image, turned):
        face = refine_face(picture, detect_faces(picture)[0].points)
        assert face is not None
        crops.append(crop_face(picture, face.points)[20:124, 20:124])
    assert cv2.absdiff(*crops).mean() < 6


def test_rough_start_hardly_matters() -> None:
    image = place(blank(400, 400), draw_face(256), 72, 72)
    truth = POINTS * 256 + 72
    exact = refine_face(image, truth)
    assert exact is not None
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rough = refine_face(image, (truth - 200) * 1.1 + 200 + rng.normal(0, 6, 2) + rng.normal(0, 2, (5, 2)))
        assert rough is not None and distance(rough.points, exact.points) < 3


def test_refine_where_there_is_no_face() -> None:
    assert refine_face(blank(400, 400), POINTS * 256) is None


def test_refine_takes_the_nearer_of_two_faces() -> None:
    image = place(place(blank(300, 400), draw_face(200), 0, 50), draw_face(200), 150, 50)
    face = refine_face(image, POINTS * 200 + (150, 50))
    assert face is not None and distance(face.points, POINTS * 200 + (150, 50)) < 4


def test_score_threshold() -> None:
    assert detect_faces(draw_face(), min_score=1.0) == []
    assert refine_face(draw_face(), POINTS * 256, min_score=1.0) is None


def test_threads_share_the_detector() -> None:
    images = [place(blank(256, 300), draw_face(256), x, 0) for x in range(0, 40, 5)]
    alone = [detect_faces(image)[0].points for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = [faces[0].points for faces in pool.map(detect_faces, images)]
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_batch_is_the_same_as_single() -> None:
    network = RetinaFace()
    images = [draw_face(256), draw_face(256, skin=(200, 150, 120))]
    for image, faces in zip(images, network.detect(images, min_score=0.6), strict=True):
        (face,) = faces
        (alone,) = network.detect([image], min_score=0.6)[0]
        np.testing.assert_allclose(face.points, alone.points, atol=1e-2)


def test_mirrored_face_twice_is_itself() -> None:
    face = Face((10, 20, 50, 80), (POINTS * 60).astype(np.float32), 0.9)
    back = face.mirrored(100).mirrored(100)
    assert back.box == pytest.approx(face.box)
    np.testing.assert_allclose(back.points, face.points, atol=1e-5)


def test_overlap_by_hand() -> None:
    boxes = np.array([(0, 0, 10, 10), (5, 0, 15, 10), (20, 20, 30, 30)], float)
    np.testing.assert_allclose(overlap(boxes[0], boxes), [1, 50 / 150, 0])


def test_crop_of_a_found_face_is_in_its_convention() -> None:
    image = place(blank(500, 700), draw_face(300), 250, 120)
    face = refine_face(image, detect_faces(image)[0].points)
    assert face is not None
    eyes = transform_points(align_matrix(face.points), POINTS[:2] * 300 + (250, 120))
    np.testing.assert_allclose(eyes, [(53.7, 62.1), (90.2, 62.1)], atol=3.5)
    assert crop_face(image, face.points).shape == (CROP_SIZE, CROP_SIZE, 3)


def test_a_meter_agrees_with_measuring_both_ways_and_looks_at_one_picture_mostly(monkeypatch):
    image, meter, points = draw_face(), FaceMeter(), POINTS * 256
    looked = []
    detect = RetinaFace.detect
    monkeypatch.setattr(
        RetinaFace, "detect", lambda self, images, **kw: looked.append(len(images)) or detect(self, images, **kw)
    )
    for _ in range(12):
        face = meter.measure(image, points)
        assert face is not None
        points = face.points
    assert looked == [2, *[1] * 9, 2, 1]
    both = refine_face(image, points)
    assert both is not None
    np.testing.assert_allclose(points, both.points, atol=0.6)
    assert meter.measure(blank(256, 256), points) is None
    meter.measure(image, points)
    assert looked[-1] == 2
