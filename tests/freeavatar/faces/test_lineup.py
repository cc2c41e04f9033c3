import numpy as np
import pytest

from benchmarks.odd_videos import crossing
from freeavatar.faces import FaceTracker, find_faces, track_faces
from tests.drawn_faces import LIGHT, blank, frames_of, stage


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


def test_fast_movement_makes_nobody_new():
    people = find_faces(frames_of(crossing(4), rate=4))
    assert len(people) == 2


def test_nobody_in_five_seconds_is_nobody():
    frames = frames_of([*[blank(320, 480)] * 7, stage((200, 20, 60), skins=(LIGHT,))], rate=1)
    assert find_faces(frames) == []
    assert find_faces([]) == []


def test_two_faces_that_swap_places_are_not_confused():
    """The one who passes behind is out of sight for a while, and found again on the other side."""
    frames = frames_of(crossing(24))
    steps = []
    for face in (0, 1):
        tracker = FaceTracker(face=face)
        begin, *_, end = (tracker.update(frame) for frame in frames)
        assert begin is not None and end is not None
        steps.append(end.points[:, 0].mean() - begin.points[:, 0].mean())
    assert sorted(steps) == [pytest.approx(-400, abs=15), pytest.approx(400, abs=15)]
