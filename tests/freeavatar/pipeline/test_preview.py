import numpy as np
import pytest

from freeavatar.errors import FaceError
from freeavatar.pipeline import AnimateOptions, Regions, find_people, preview
from tests.files import write_clip


@pytest.fixture(scope="module")
def two_people(actor_frames, tmp_path_factory):
    """The actor twice: large and neutral at the left, small and smiling at the right."""
    small = np.kron(actor_frames[9][::2, ::2], np.ones((1, 1, 1), np.uint8))
    image = np.concatenate([actor_frames[0], np.pad(small, ((120, 120), (0, 0), (0, 0)))], axis=1)
    return write_clip(tmp_path_factory.mktemp("people") / "two.mp4", [image] * 4)


def test_people_are_listed_with_a_picture_and_a_preview_shows_the_one_chosen(two_people):
    people = find_people(two_people)
    assert [person.index for person in people] == [0, 1]
    assert people[0].box[2] < 640 < people[1].box[0] and people[0].thumbnail.shape == (144, 144, 3)
    first, second = (preview(two_people, 0.08, options=AnimateOptions(face=k), size=64) for k in (0, 1))
    assert first.points[:, 0].max() < 640 < second.points[:, 0].min()
    assert first.picture.shape == (64, 64, 3) and np.abs(first.picture.astype(int) - second.picture).mean() > 1
    with pytest.raises(FaceError, match="shows only 2 faces"):
        preview(two_people, 0.08, options=AnimateOptions(face=2))


def test_a_preview_follows_the_settings_and_the_drawn_crop(two_people):
    options = AnimateOptions(box=(700, 160, 200, 220), regions=Regions(mouth=0, jaw=0, head=0))
    drawn = preview(two_people, options=options, size=64)
    plain = preview(two_people, options=AnimateOptions(face=1), size=64)
    assert drawn.points[:, 0].min() > 640
    np.testing.assert_allclose(drawn.points, plain.points, atol=4)
    assert np.abs(drawn.picture.astype(int) - plain.picture).mean() > 1


def test_people_of_a_range_are_those_seen_there(actor_frames, tmp_path):
    grey = np.full_like(actor_frames[0], 128)
    clip = write_clip(tmp_path / "late.mp4", [grey] * 5 + [actor_frames[0]] * 3)
    (person,) = find_people(clip, start=0.12)
    assert person.second == pytest.approx(0.2)
    assert find_people(clip, end=0.1) == []
    with pytest.raises(FaceError, match="no face is in sight at second"):
        preview(clip, 0.0)
