import cv2
import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.faces import head_pose, track_face_at, track_faces
from freeavatar.faces.drawn import DrawnFaceTracker, find_drawn
from tests.drawn_faces import POINTS, blank, distance, draw_face, frames_of, place, stage


def mask(x: int, y: int, *, has_face: bool = True) -> np.ndarray:
    """A frame of 320 x 480 with something no detector takes for a face: a striped disc with two bars."""
    image = np.full((320, 480, 3), 120, np.uint8)
    if has_face:
        cv2.circle(image, (x, y), 70, (230, 200, 60), -1)
        for k in range(-50, 51, 25):
            cv2.line(image, (x + k, y - 40), (x + k // 2, y + 45), (40, 90, 150), 6)
        cv2.rectangle(image, (x - 30, y + 20), (x + 25, y + 32), (120, 20, 20), -1)
    return image


def test_a_box_chooses_the_face_in_it():
    image = stage((240, 200, 40), (160, 10, 60))
    found = find_drawn(image, (30, 80, 120, 130))
    assert found.score > 0.9 and distance(found.points, POINTS * 160 + (10, 60)) < 6


def test_a_box_without_a_face_gives_one_that_looks_ahead():
    face = find_drawn(mask(240, 160), (170, 80, 140, 170))
    assert face.score < 0.6
    yaw, pitch, roll = head_pose(face.points)
    assert abs(yaw) < 3 and abs(pitch) < 8 and abs(roll) < 1
    assert face.points.mean(0) == pytest.approx([240, 182], abs=3)


def test_what_is_no_face_is_followed_by_its_look():
    frames = frames_of([mask(160 + 4 * k, 150 + 2 * k) for k in range(30)])
    tracked = list(track_faces(frames, box=(90, 65, 140, 170)))
    path = np.array([one.points.mean(0) for one in tracked])
    np.testing.assert_allclose(path[-1] - path[0], (4 * 29, 2 * 29), atol=4)
    assert all(0 < one.confidence < 0.6 and one.crop is not None for one in tracked)


def test_where_it_is_gone_the_box_holds_still():
    frames = frames_of([*[mask(240, 160)] * 3, *[mask(0, 0, has_face=False)] * 3])
    tracker = DrawnFaceTracker((170, 75, 140, 170))
    points = [tracker.update(frame).points for frame in frames]
    np.testing.assert_allclose(points[-1], points[0], atol=1)


def test_a_face_that_gets_hidden_is_followed_on():
    """Eyes behind a bar: whether the detector still sees it or not, the track stays on the face."""
    images = []
    for k in range(16):
        image = place(blank(320, 480), draw_face(200), 60 + 5 * k, 50)
        if k >= 8:
            image[100:175, 80 + 5 * k : 240 + 5 * k] = 15
        images.append(image)
    tracked = list(track_faces(frames_of(images), box=(90, 60, 140, 180)))
    moved = tracked[-1].points.mean(0) - tracked[0].points.mean(0)
    np.testing.assert_allclose(moved, (75, 0), atol=14)


def test_independent_pictures_each_use_the_box():
    frames = frames_of([stage((200, 60, 50)), mask(160, 150)])
    first, second = track_faces(frames, box=(90, 60, 140, 180), smoothing=False)
    assert first.confidence > 0.9 and 0 < second.confidence < 0.6


def test_a_box_outside_of_the_picture_is_refused():
    with pytest.raises(InputError, match="outside of the picture of 480 x 320"):
        list(track_faces(frames_of([blank(320, 480)]), box=(500, 10, 60, 60)))


@pytest.mark.parametrize("second", [0, 20])
def test_one_frame_shows_the_face_that_a_run_would_follow(second):
    frames = frames_of([stage((240 - 5 * i, 230, 40), (160 + 4 * i, 10, 60)) for i in range(25)])
    for rank in (0, 1):
        run = list(track_faces(frames, face=rank))
        alone = track_face_at(frames, frames[second], face=rank)
        assert distance(alone.points, run[second].points) < 4
