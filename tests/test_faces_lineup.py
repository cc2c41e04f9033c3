import cv2
import numpy as np

from freeavatar.avatars import portrait_of
from freeavatar.faces import FaceTracker, find_faces, track_faces
from tests.test_faces_detect import blank
from tests.test_faces_track import LIGHT, frames_of, stage


def card(name: str, side: int) -> np.ndarray:
    """The portrait of an avatar, ``(side, side, 3)`` uint8."""
    return cv2.resize(cv2.imread(str(portrait_of(name)))[..., ::-1], (side, side), interpolation=cv2.INTER_AREA)


def crossing(steps: int = 40) -> list[np.ndarray]:
    """Frames of 300 x 640: kofi walks from left to right, behind ines, who walks from right to left."""
    kofi, ines = card("kofi", 240), card("ines", 230)
    images = []
    for step in range(steps):
        image = np.full((300, 640, 3), 90, np.uint8)
        at = round(step / (steps - 1) * 400)
        image[20:260, at : at + 240] = kofi
        image[40:270, 405 - at : 635 - at] = ines
        images.append(image)
    return images


def test_people_are_counted_as_the_number_of_the_face_calls_them():
    frames = frames_of([stage((240, 200, 40), (160, 10, 60))] * 3)
    people = find_faces(frames)
    assert [face.box[0] > 180 for _, face in people] == [True, False]
    for index, (_, face) in enumerate(people):
        (first, *_) = track_faces(frames, face=index)
        assert np.linalg.norm(first.points - face.points, axis=1).mean() < 4


def test_somebody_who_turns_up_within_a_second_is_counted_last_even_if_larger():
    frames = frames_of([*[stage((160, 10, 60))] * 4, *[stage((160, 10, 60), (240, 200, 40))] * 4])
    people = find_faces(frames)
    assert [frame.index for frame, _ in people] == [0, 4]
    *_, last = track_faces(frames, face=1)
    assert last.points is not None and last.points[:, 0].min() > 200


def test_nobody_in_five_seconds_is_nobody():
    frames = frames_of([*[blank(320, 480)] * 7, stage((200, 20, 60), skins=(LIGHT,))], rate=1)
    assert find_faces(frames) == []
    assert find_faces([]) == []


def test_two_faces_that_swap_places_are_not_confused():
    images = crossing()
    for rank, (begin, end) in enumerate([(0, 400), (405, 5)] if largest_is_kofi(images[0]) else [(405, 5), (0, 400)]):
        tracker = FaceTracker(face=rank)
        faces = [tracker.update(frame) for frame in frames_of(images)]
        assert faces[0] is not None and abs(faces[0].points[:, 0].mean() - begin - 120) < 25
        assert faces[-1] is not None and abs(faces[-1].points[:, 0].mean() - end - 120) < 25


def largest_is_kofi(image: np.ndarray) -> bool:
    (_, first), _ = find_faces(frames_of([image]))
    return first.box[0] < 300
