"""The Animate tab's handlers: what they yield, keep and delete."""

import base64
import json
import shutil
import zipfile
from types import SimpleNamespace

import cv2
import gradio as gr
import numpy as np
import pytest

from freeavatar.animations import animations_folder
from freeavatar.avatars import available_avatars, avatar_path, load_avatar, public_avatars
from freeavatar.errors import AvatarError, InputError
from freeavatar.files import is_installed, write_png
from freeavatar.images import decode_image
from freeavatar.video import VideoReader
from tests.files import write_clip
from webapp.animate import clip, controls, moment, results, running
from webapp.animate.controls import DEFAULTS, NAMES, REGIONS, options_of, settings_of, values_of
from webapp.animate.line import Line
from webapp.animate.runs import load_run
from webapp.common import avatars
from webapp.explore import shelf as explore_shelf

PLAIN = values_of({})
WHOLE = (0.0, 0.0, 0, None)


def changed(**settings):
    return values_of({**DEFAULTS, **settings})


def play(video, names=("ines",), values=PLAIN, part=WHOLE):
    return list(running.run(None, str(video), *part, list(names), *values))


@pytest.fixture(scope="module")
def made(short_clip, tmp_path_factory):
    """A finished run of the short clip, and its home."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("made")
        patch.setenv("FREEAVATAR_HOME", str(home))
        return play(short_clip)[-1][1].id, home


@pytest.fixture
def done(made, monkeypatch):
    """A copy of that run in a home of this test's own."""
    id, home = made
    shutil.copytree(home / "animations", animations_folder())
    return load_run(id)


def test_a_run_tells_its_progress_and_leaves_everything(short_clip):
    steps = play(short_clip, ["ines", "kofi"])
    assert "Step 1 of 2" in steps[0][0] and any("Step 2 of 2" in status for status, _ in steps)
    status, run = steps[-1]
    assert "10 frames animated" in status and run.video.name == "short.mp4"
    assert len(run.downloads) == 9 and all(path.is_file() for path in run.downloads)
    with zipfile.ZipFile(run.zip) as archive:
        assert sorted(archive.namelist()) == sorted(path.name for path in run.downloads)
    assert load_run(run.id) == run


@pytest.mark.parametrize(
    ("video", "names", "says"),
    [(None, ["ines"], "no video yet"), ("x.mp4", [], "tick at least one"), ("x.mp4", ["ines"], "x.mp4")],
)
def test_what_cannot_be_run_says_what_to_do(video, names, says):
    with pytest.raises(gr.Error, match=says):
        list(running.run(None, video, *WHOLE, names, *PLAIN))


def test_a_failed_run_leaves_nothing(tmp_path, actor_frames):
    grey = write_clip(tmp_path / "grey.mp4", [actor_frames[0] * 0 + 90] * 3)
    with pytest.raises(gr.Error, match="no face was found"):
        play(grey)
    assert not list(animations_folder().iterdir())


def test_closing_a_run_stops_it_and_deletes_its_files(short_clip):
    steps = running.run(None, str(short_clip), *WHOLE, ["ines"], *PLAIN)
    assert any("Step 2 of 2" in status for status, _ in steps)
    steps.close()
    assert not list(animations_folder().iterdir())


def test_the_last_moment_to_cancel_keeps_nothing_either(short_clip):
    steps = running.run(None, str(short_clip), *WHOLE, ["ines"], *PLAIN)
    assert any("frames animated" in status for status, _ in steps)
    steps.close()
    assert not list(animations_folder().iterdir())


def test_only_a_run_under_way_can_be_stopped(short_clip):
    statuses = [status for status, _ in play(short_clip)]
    assert running.is_busy(statuses[0]) and not running.is_busy(statuses[-1]) and not running.is_busy(None)


def test_parts_over_the_limit_are_refused_and_parts_below_it_are_not(short_clip, monkeypatch):
    monkeypatch.setattr(clip, "MAX_SECONDS", 0.2)
    with pytest.raises(gr.Error, match="choose less of it"):
        play(short_clip)
    assert "frames animated" in play(short_clip, part=(0.1, 0.25, 0, None))[-1][0]


def test_only_the_chosen_part_is_animated(short_clip):
    run = play(short_clip, part=(0.12, 0.28, 0, None))[-1][1]
    assert run.frames == 4


def test_visitors_wait_their_turn_and_know_their_place(short_clip):
    first = running.run(None, str(short_clip), *WHOLE, ["ines"], *PLAIN)
    next(first)
    second = running.run(None, str(short_clip), *WHOLE, ["ines"], *PLAIN)
    assert "Waiting: 1 before you" in next(second)[0]
    first.close()
    assert "Step 1 of 2" in next(status for status, _ in second if "Waiting" not in status)
    second.close()


def test_a_place_is_given_away_when_its_visitor_is_gone(monkeypatch):
    monkeypatch.setattr("webapp.animate.line.FORGOTTEN", -1)
    line = Line()
    with line.place(), line.place() as second:
        assert second.touch() == 0


def test_values_of_the_controls_become_settings():
    options = options_of(
        settings_of(changed(gain=1.5, on=[name for name in REGIONS if name not in ("brows", "head")], mouth=0.5))
    )
    assert (options.gain, options.regions.mouth, options.regions.brows, options.has_head_pose) == (1.5, 0.5, 0.0, False)
    assert options_of(settings_of(changed(framing="bust"))).framing == "bust"
    assert values_of({"gain": 1.0})[NAMES.index("framing")] == "face"
    options = options_of(settings_of(changed(background="none", video="prores", usd=True, reduce=0.01)))
    assert (options.own_video, options.has_usd, options.reduce) == ("prores", True, 0.01)
    for color, says in (("rgba(32, 64.2, 96, 1)", "#204060"), ("#204060", "#204060"), ("/etc/a.png", "#/etc/a.png")):
        options = options_of(settings_of(changed(background="color", color=color)))
        assert (options.background, options.own_video) == (says, "mp4")
    with pytest.raises(InputError, match="expected face or bust"):
        options_of({**DEFAULTS, "framing": "feet"})
    assert options_of(settings_of([None] * len(NAMES))) == options_of(DEFAULTS)
    with pytest.raises(InputError, match="no profile is chosen"):
        options_of({**DEFAULTS, "calibration": "profile"})


@pytest.mark.parametrize("has_usd", [False, True])
def test_usd_is_offered_where_it_can_be_written(has_usd, monkeypatch):
    monkeypatch.setattr(controls, "is_installed", lambda module: has_usd)
    with gr.Blocks():
        assert controls.build_controls().components[NAMES.index("usd")].visible is has_usd


def test_a_moment_follows_the_settings_at_once(done):
    strong, none = (moment.faces_at(None, done.id, 0.3, "ines", None, *changed(gain=gain)) for gain in (1.0, 0.0))
    assert [face["name"] for face in strong["faces"]] == ["Actor", "ines"]
    pictures = [
        decode_image(base64.b64decode(view["faces"][1]["src"].partition(",")[2]), "the face").astype(int)
        for view in (strong, none)
    ]
    assert np.abs(pictures[0] - pictures[1]).mean() > 0.5


def test_two_looks_stand_side_by_side(done):
    pinned = {"avatar": "ines", "settings": settings_of(changed(gain=0.0))}
    view = moment.faces_at(None, done.id, 0.3, "pip", pinned, *PLAIN)
    assert [face["name"] for face in view["faces"]] == ["Actor", "ines, Strength of the expression 0", "pip"]


def test_the_chart_shows_what_moved_and_where_no_face_was(done):
    figure = moment.curves_of(None, done.id, "ines", *PLAIN)
    assert len(figure["times"]) == 10 and "mouthSmileLeft" in [curve["name"] for curve in figure["curves"]]
    assert figure["missing"] == [] and min(figure["confidence"]) > 0.5


def test_files_are_written_again_without_tracking(done):
    before = next(path for path in done.downloads if path.suffix == ".csv").read_text()
    steps = list(running.write_again(None, done.id, *changed(gain=0.2)))
    run = steps[-1][1]
    assert run.id == done.id and run.settings["gain"] == 0.2
    assert next(path for path in run.downloads if path.suffix == ".csv").read_text() != before


def test_the_button_to_write_again_shows_when_the_files_are_behind(done):
    for gain, is_behind in ((1.0, False), (0.4, True)):
        *_, button = results.settle(None, done.id, 0.0, "ines", None, *changed(gain=gain))
        assert button.visible is is_behind


def test_writing_again_needs_the_profile_it_is_told_to_use_and_leaves_the_run_alone(done, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    for profile, says in ((None, "no profile is chosen"), (str(broken), "is not a profile")):
        values = changed(calibration="profile", profile=profile)
        with pytest.raises(gr.Error, match=says):
            list(running.write_again(None, done.id, *values))
        assert results.settle(None, done.id, 0.0, "ines", None, *values)[2].visible
    assert load_run(done.id) == done and not (done.folder / "profile.json").exists()


def test_the_avatar_alone_usd_and_fewer_keys_are_among_the_downloads(done):
    has_usd, size = is_installed("pxr"), (done.folder / done.files["ines"]["glb"]).stat().st_size
    values = changed(background="none", video="png", usd=has_usd, reduce=0.05)
    run = list(running.write_again(None, done.id, *values))[-1][1]
    names = {path.name for path in run.downloads}
    assert "short_ines.avatar.png.zip" in names and ("short_ines.usd" in names) == has_usd
    assert not (run.folder / "short_ines.avatar").exists()
    with zipfile.ZipFile(run.folder / "short_ines.avatar.png.zip") as archive:
        assert len(archive.namelist()) == 10
        frame = np.frombuffer(archive.read("short_ines.avatar/000010.png"), np.uint8)
        assert cv2.imdecode(frame, cv2.IMREAD_UNCHANGED)[0, 0, 3] == 0
    assert (run.folder / run.files["ines"]["glb"]).stat().st_size < size
    assert results.settle(None, run.id, 0.0, "ines", None, *values)[2].visible is False
    run = list(running.write_again(None, done.id, *changed(background="color")))[-1][1]
    names = {path.name for path in run.folder.iterdir()}
    assert "short_ines.avatar.mp4" in names and not names & {"short_ines.avatar.png.zip", "short_ines.usd"}


def test_a_picture_behind_the_avatar_is_seen_before_and_after_the_run_and_kept_with_it(done, tmp_path):
    green, broken = tmp_path / "Green.PNG", tmp_path / "broken.png"
    write_png(np.full((60, 90, 3), (0, 200, 0), np.uint8), green)
    broken.write_bytes(b"none")
    values = changed(background="picture", picture=str(green))
    view = moment.faces_at(None, done.id, 0.3, "ines", None, *values)
    assert view["faces"][1]["name"] == "ines, picture"
    seen = decode_image(base64.b64decode(view["faces"][1]["src"].partition(",")[2]), "the face")
    corner = seen[4, 4].astype(int)
    assert np.abs(corner - (0, 200, 0)).max() < 12
    missing = moment.faces_at(None, done.id, 0.3, "ines", None, *changed(background="picture"))
    assert missing["faces"][1]["name"] == "ines", "a picture that is yet to be chosen changes nothing"
    for picture, says in ((None, "no picture is chosen"), (str(broken), "^'?broken.png is not a readable image")):
        with pytest.raises(gr.Error, match=says):
            list(running.write_again(None, done.id, *changed(background="picture", picture=picture)))
    run = list(running.write_again(None, done.id, *values))[-1][1]
    green.unlink()
    assert run.settings["picture"] == str(run.folder / "picture.PNG")
    corner = VideoReader(run.folder / "short_ines.avatar.mp4").frame_at(0.0).image[4, 4].astype(int)
    assert np.abs(corner - (0, 200, 0)).max() < 12
    settings = json.loads((run.folder / "short_ines.json").read_text())["settings"]
    assert settings["background"] == "Green.PNG", "a file that is passed on names no folders"
    assert results.settle(None, run.id, 0.0, "ines", None, *values_of(run.settings))[2].visible is False


def test_a_run_from_before_a_setting_was_there_is_not_behind(done):
    path = done.folder / "run.json"
    stored = json.loads(path.read_text())
    for name in ("background", "color", "picture", "video", "usd", "reduce"):
        del stored["settings"][name]
    path.write_text(json.dumps(stored))
    assert results.settle(None, done.id, 0.0, "ines", None, *PLAIN)[2].visible is False


@pytest.mark.parametrize("rate", [24, 29.97, 30, 60])
def test_a_click_in_the_chart_shows_the_frame_that_was_clicked(rate):
    times = np.arange(300) / rate
    for index, drawn in enumerate(np.round(times, 4)):
        second = results._picked(SimpleNamespace(time=drawn))
        assert np.searchsorted(times, second + 1e-4, side="right") - 1 == index


def test_a_saved_profile_calibrates_another_run(short_clip):
    done = play(short_clip, values=changed(calibration="second", second=0.0))[-1][1]
    assert done.profile in done.downloads and json.loads(done.profile.read_text())["format"] == "freeavatar-profile"
    run = play(short_clip, values=changed(calibration="profile", profile=str(done.profile)))[-1][1]
    assert run.settings["profile"].startswith(str(run.folder))
    assert results.restore(SimpleNamespace(headers={}, query_params={"run": run.id}))[0].count("animated") == 1


def test_a_link_brings_a_run_back_and_a_wrong_one_says_so(done):
    def restored(id):
        return results.restore(SimpleNamespace(headers={}, query_params={"run": id}))

    assert "10 frames animated" in restored(done.id)[0] and restored(done.id)[1] == done.id
    for wrong in ("../../etc", "20260101-000000-" + "0" * 32):
        assert "no animation under this link" in restored(wrong)[0]


def test_a_new_video_shows_how_it_reads(short_clip):
    people, _start, end, face, box, *_ = clip.look(None, str(short_clip))
    assert people.visible is False and end.maximum == pytest.approx(0.4, abs=0.05) and (face, box) == (0, None)
    view, _drawer = clip.see(None, str(short_clip), 0.0, 0.0, 0, None, ["ines"], *PLAIN)
    assert view.count("data:image/jpeg") == 2


def test_two_people_are_offered_as_thumbnails(actor_frames, tmp_path):
    both = [np.concatenate([image, image[:, ::-1]], 1) for image in actor_frames[:3]]
    people, *_ = clip.look(None, str(write_clip(tmp_path / "two.mp4", both)))
    assert people.visible and len(people.value) == 2


def test_another_beginning_asks_again_whom_to_follow(actor_frames, tmp_path):
    alone = [np.hstack([frame, frame * 0 + 90]) for frame in actor_frames[:5]]
    pair = write_clip(tmp_path / "later.mp4", [*alone, *(np.hstack([f, f[:, ::-1]]) for f in actor_frames[5:10])])
    later, face, box = clip.look_from(None, str(pair), 0.2)
    assert later.visible and (face, box) == (0, None)
    assert clip._picked(SimpleNamespace(index=1)) == (1, None), "a drawn box gives way to a thumbnail"


def test_without_a_face_a_box_can_be_drawn(tmp_path, actor_frames):
    grey = write_clip(tmp_path / "grey.mp4", [actor_frames[0] * 0 + 90] * 3)
    view, drawer = clip.see(None, str(grey), 0.0, 0.0, 0, None, ["ines"], *PLAIN)
    assert "Draw a box" in view and drawer.visible and drawer.value["width"] == 640
    assert clip._drawn(SimpleNamespace(box=[1, 2, 30, 40])) == [1.0, 2.0, 30.0, 40.0]


def test_an_own_avatar_is_usable_at_once_and_seen_by_nobody_else(tmp_path):
    mine = tmp_path / "My Head.glb"
    shutil.copyfile(avatar_path("pip"), mine)
    name, findings = avatars.add_own(mine)
    assert name.startswith("my-head-") and avatars.label_of(name) == "my-head" and findings
    assert name in available_avatars() and name in avatars.visible_avatars([name])
    assert name not in avatars.visible_avatars([]) and name not in dict(map(reversed, avatars.choices_of([])))
    assert name not in public_avatars() and explore_shelf.avatars_of({"avatars": [name, "pip"]}) == ["pip"]
    with pytest.raises(AvatarError) as error:
        load_avatar("nobody")
    assert name not in str(error.value)
