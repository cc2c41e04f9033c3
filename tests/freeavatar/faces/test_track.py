import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from freeavatar.errors import FaceError, InputError
from freeavatar.faces import FaceTracker, TrackedFrame, crop_face, head_pose, track_faces
from freeavatar.faces.smooth import LOOKAHEAD
from freeavatar.images import Frame
from freeavatar.video import VideoReader
from tests.drawn_faces import DARK, POINTS, blank, distance, frames_of, stage
from tests.files import SHARED

CLIPS = SHARED / "clips"


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 12, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def assert_same(frames: list[TrackedFrame], others: list[TrackedFrame]) -> None:
    for one, other in zip(frames, others, strict=True):
        assert (one.confidence, one.head) == (other.confidence, other.head)
        for a, b in ((one.points, other.points), (one.crop, other.crop)):
            assert (a is None) == (b is None)
            assert a is None or np.array_equal(a, b)


def test_moving_face_is_followed_without_lag() -> None:
    frames = frames_of([stage((200, 20 + 6 * i, 40 + 2 * i)) for i in range(30)])
    tracked = list(track_faces(frames))
    assert [(one.index, one.time) for one in tracked] == [(frame.index, frame.time) for frame in frames]
    for i, one in enumerate(tracked):
        assert one.points is not None and one.points.dtype == np.float32
        assert distance(one.points, POINTS * 200 + (20 + 6 * i, 40 + 2 * i)) < 4
        assert 0.9 < one.confidence <= 1
    errors = [one.points - POINTS * 200 - (20 + 6 * i, 40 + 2 * i) for i, one in enumerate(tracked)]  # type: ignore
    assert abs(np.mean(errors, axis=(0, 1))[0]) < 0.75, "a lag of a tenth of a frame would show"


def test_crop_and_pose_belong_to_the_points() -> None:
    frames = frames_of([stage((220, 40 + i, 40)) for i in range(8)])
    for frame, one in zip(frames, track_faces(frames), strict=True):
        assert one.points is not None and one.crop is not None
        np.testing.assert_array_equal(one.crop, crop_face(frame.image, one.points))
        assert one.head == head_pose(one.points)


def test_smoothing_steadies_a_still_face_in_a_noisy_picture() -> None:
    frames = frames_of([noisy(stage((120, 150, 80)), seed) for seed in range(40)])
    tracker = FaceTracker()
    rough = np.array([face.points for face in map(tracker.update, frames) if face is not None])
    smooth = np.array([one.points for one in track_faces(frames)])
    shake, rest = (np.diff(points, n=2, axis=0).std() for points in (rough, smooth))
    assert rest < 0.4 * shake


def test_results_do_not_depend_on_what_comes_much_later() -> None:
    images = [stage((200, 20 + 5 * i, 60)) for i in range(20)]
    whole, part = list(track_faces(frames_of(images))), list(track_faces(frames_of(images[:12])))
    assert_same(whole[: 12 - LOOKAHEAD], part[: 12 - LOOKAHEAD])


def test_smoothing_does_not_bridge_a_gap() -> None:
    before = [stage((200, 20 + 5 * i, 60)) for i in range(7)]
    after = [stage((180, 230 - 4 * i, 90)) for i in range(7)]
    tracked = list(track_faces(frames_of([*before, blank(320, 480), *after])))
    assert_same(tracked[:7], list(track_faces(frames_of(before))))
    assert tracked[7].confidence == 0
    assert tracked[7].points is None and tracked[7].crop is None and tracked[7].head is None
    assert_same(tracked[8:], list(track_faces(frames_of(after, start=8))))


def test_smoothing_does_not_bridge_a_cut() -> None:
    before = [stage((200, 20 + 5 * i, 60)) for i in range(7)]
    after = [stage((180, 260, 90 - 4 * i), skins=(DARK,)) for i in range(7)]
    tracked = list(track_faces(frames_of([*before, *after])))
    assert_same(tracked[:7], list(track_faces(frames_of(before))))
    assert_same(tracked[7:], list(track_faces(frames_of(after, start=7))))


def test_smoothing_does_not_bridge_a_pause() -> None:
    images = [stage((200, 20 + 5 * i, 60)) for i in range(12)]
    tracker = FaceTracker()
    for frame in [*frames_of(images[:6]), *frames_of(images[6:], start=60)]:
        tracker.update(frame)
    assert tracker.breaks == 1


def test_breaks_count_losses_and_cuts_only() -> None:
    tracker = FaceTracker()
    for frame in frames_of([stage((200, 20 + 12 * i, 60)) for i in range(12)]):
        assert tracker.update(frame) is not None
    assert tracker.breaks == 0


@pytest.mark.parametrize(("rank", "side", "x"), [(0, 240, 200), (1, 160, 10)])
def test_rank_selects_by_size(rank: int, side: int, x: int) -> None:
    tracked = list(track_faces(frames_of([stage((240, 200, 40), (160, 10, 60))] * 6), face=rank))
    for one in tracked:
        assert one.points is not None and distance(one.points, POINTS * side + (x, 40 if rank == 0 else 60)) < 6


def test_rank_holds_when_sizes_swap() -> None:
    images = [stage((240 - 8 * i, 230, 40), (160 + 5 * i, 10, 60)) for i in range(18)]
    for i, one in enumerate(track_faces(frames_of(images))):
        assert one.points is not None and distance(one.points, POINTS * (240 - 8 * i) + (230, 40)) < 8


def test_other_person_is_not_taken_for_the_lost_one() -> None:
    both, other = stage((220, 230, 40), (180, 10, 60)), stage((180, 10, 60), skins=(DARK,))
    tracked = list(track_faces(frames_of([*[both] * 4, *[other] * 4, *[both] * 4])))
    assert [one.confidence > 0 for one in tracked] == [True] * 4 + [False] * 4 + [True] * 4
    assert tracked[-1].points is not None and tracked[-1].points[:, 0].min() > 230


def test_right_person_is_found_again_after_a_cut() -> None:
    images = [*[stage((220, 230, 40), (180, 10, 60))] * 4, *[stage((200, 20, 40), (220, 240, 60))] * 4]
    *_, last = track_faces(frames_of(images))
    assert last.points is not None and last.points[:, 0].max() < 230


@pytest.mark.parametrize(("shown", "count"), [(1, "one face: give 0"), (2, "2 faces, .* give 0 to 1")])
@pytest.mark.parametrize("frames", [3, 40])
def test_rank_out_of_range_says_how_many_there_are(shown: int, count: str, frames: int) -> None:
    image = stage(*[(200, 240, 40), (160, 10, 60)][:shown])
    with pytest.raises(FaceError, match=f"Face 5 was asked for but the clip shows only {count}"):
        list(track_faces(frames_of([image] * frames), face=5))


def test_second_face_may_turn_up_within_a_second() -> None:
    images = [*[stage((240, 200, 40))] * 5, *[stage((240, 200, 40), (160, 10, 60))] * 5]
    tracked = list(track_faces(frames_of(images), face=1))
    assert [one.confidence > 0 for one in tracked] == [False] * 5 + [True] * 5


@pytest.mark.parametrize("smoothing", [True, False])
def test_negative_rank_is_an_error(smoothing: bool) -> None:
    with pytest.raises(InputError, match="counted from 0"):
        list(track_faces([], face=-1, smoothing=smoothing))


def test_face_may_appear_late() -> None:
    tracked = list(track_faces(frames_of([*[blank(320, 480)] * 3, *[stage((200, 100, 60))] * 3], rate=1)))
    assert [one.confidence > 0 for one in tracked] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("smoothing", [True, False])
def test_clip_without_a_face(smoothing: bool) -> None:
    tracked = list(track_faces(frames_of([blank(200, 300)] * 3), smoothing=smoothing))
    assert [one.confidence for one in tracked] == [0, 0, 0]
    assert list(track_faces([], smoothing=smoothing)) == []


def test_pictures_are_independent_without_smoothing() -> None:
    images = [stage((200, 20, 60)), stage((120, 300, 10)), blank(320, 480), stage((220, 230, 40), (180, 10, 60))]
    together = list(track_faces(frames_of(images), smoothing=False))
    alone = [next(iter(track_faces([frame], smoothing=False))) for frame in frames_of(images)]
    assert_same(together, alone)
    assert_same(list(track_faces(frames_of(images[::-1]), smoothing=False))[::-1], together)
    second = list(track_faces(frames_of(images), face=1, smoothing=False))
    assert [one.confidence > 0 for one in second] == [False, False, False, True]


def test_few_frames_are_held_and_results_come_early() -> None:
    alive: list[weakref.ref] = []
    given = 0

    def frames() -> Iterator[Frame]:
        nonlocal given
        for i in range(30):
            image = stage((160, 40 + i, 60))
            alive.append(weakref.ref(image))
            given += 1
            yield Frame(i, i / 25, image)
            del image

    for one in track_faces(frames()):
        assert given - one.index <= LOOKAHEAD + 1
        assert sum(ref() is not None for ref in alive) <= LOOKAHEAD + 2


def test_real_clip_is_tracked_steadily() -> None:
    clip = CLIPS / "single_face.mp4"
    if not clip.is_file():
        pytest.skip("shared data absent")
    tracked = list(track_faces(VideoReader(clip)))
    assert min(one.confidence for one in tracked) > 0.9
    points = np.array([one.points for one in tracked])
    crops = np.array([one.crop for one in tracked], float)
    size = np.linalg.norm(points[:, 1] - points[:, 0], axis=1).mean() / 36.5
    assert np.diff(points, n=2, axis=0).std() / size < 0.25
    assert np.abs(np.diff(crops, axis=0)).mean() < 3
