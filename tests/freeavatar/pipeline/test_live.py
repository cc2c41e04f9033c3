"""Live: frame by frame, without looking ahead."""

from dataclasses import replace

import numpy as np
import pytest

from freeavatar.avatars import load_avatar
from freeavatar.errors import FaceError, InputError
from freeavatar.models import Identity
from freeavatar.performance.filters import OneEuro
from freeavatar.performance.regions import Regions
from freeavatar.pipeline import shared_bundle
from freeavatar.pipeline.live import Live, LiveSettings
from freeavatar.rig import ARKIT

PLAIN = LiveSettings(smoothing=0)


@pytest.fixture(scope="module")
def ines():
    return load_avatar("ines")


@pytest.fixture
def live(ines):
    return Live(shared_bundle(), [ines])


def smile(moment, name="ines") -> float:
    return float(moment.played[name].curves[[ARKIT.index("mouthSmileLeft"), ARKIT.index("mouthSmileRight")]].mean())


def test_the_avatar_follows_the_actor(live, actor_frames):
    rest = live.step(actor_frames[0], 0.0, PLAIN)
    before = smile(rest)
    after = [live.step(actor_frames[9], 0.1 * k, PLAIN) for k in (1, 2, 3)][-1]
    assert after.confidence > 0.6 and smile(after) > before + 0.2
    assert after.played["ines"].controls.max() > 0.2


def test_several_avatars_follow_one_face_and_nothing_is_drawn(actor_frames, monkeypatch):
    monkeypatch.setattr("freeavatar.render.Renderer.picture", None)
    live = Live(shared_bundle(), [load_avatar("ines"), load_avatar("moss")])
    moment = live.step(actor_frames[9], 0.0, PLAIN)
    assert list(moment.played) == ["ines", "moss"] and smile(moment, "moss") > 0.2
    assert len(moment.played["moss"].controls) == len(load_avatar("moss").target_names)
    live.change_cast([load_avatar("moss")])
    assert list(live.step(actor_frames[9], 0.1, PLAIN).played) == live.cast == ["moss"]


def test_a_face_in_place_is_told_from_one_that_is_not(live, actor_frames):
    image = actor_frames[9]
    small = np.full_like(image, 90)
    small[180:300, 240:400] = image[::4, ::4]
    aside = np.roll(image, 230, axis=1)
    found = [
        Live(shared_bundle(), []).step(frame, 0.0, PLAIN).placement for frame in (image, small, aside, image * 0 + 90)
    ]
    assert found == ["good", "far", "aside", "none"]


def test_calibration_makes_the_present_face_neutral(live, actor_frames):
    with pytest.raises(FaceError, match="look into the camera"):
        live.calibrate()
    smiling = smile(live.step(actor_frames[9], 0.0, PLAIN))
    live.calibrate()
    again = live.step(actor_frames[9], 0.1, PLAIN)
    assert smile(again) < 0.2 * smiling and np.abs(again.played["ines"].head).max() < 1


def test_a_face_that_was_lost_is_no_neutral(live, actor_frames):
    live.step(actor_frames[9], 0.0, PLAIN)
    live.step(np.full_like(actor_frames[0], 90), 5.0, PLAIN)
    with pytest.raises(FaceError, match="no face is in sight"):
        live.calibrate()


def test_an_avatar_is_looked_at_once_and_not_for_every_frame(live, actor_frames, monkeypatch):
    monkeypatch.setattr("freeavatar.pipeline.live.identity_of", None)
    assert live.step(actor_frames[9], 0.0, PLAIN).confidence > 0


def test_the_calibration_outlives_a_change_of_cast(live, actor_frames):
    live.step(actor_frames[9], 0.0, PLAIN)
    live.calibrate()
    live.change_cast([load_avatar("pip")])
    assert smile(live.step(actor_frames[9], 0.1, PLAIN), "pip") < 0.15


def test_a_lost_face_holds_then_eases_to_neutral(live, actor_frames):
    held = smile(live.step(actor_frames[9], 0.0, PLAIN))
    empty = np.full_like(actor_frames[0], 90)
    still = replace(PLAIN, is_idling=False)
    soon, late = live.step(empty, 0.2, still), live.step(empty, 2.0, still)
    assert soon.confidence == 0 and smile(soon) == pytest.approx(held, abs=1e-3) and smile(late) < 1e-3
    assert not late.played["ines"].curves.any() and not late.played["ines"].head.any()


def test_an_avatar_that_nobody_drives_blinks_and_sways_until_a_face_comes_back(live, actor_frames):
    empty = np.full_like(actor_frames[0], 90)
    live.step(actor_frames[9], 0.0, PLAIN)
    alone = [live.step(empty, 0.1 * k, PLAIN).played["ines"] for k in range(1, 80)]
    lids = [played.curves[ARKIT.index("eyeBlinkLeft")] for played in alone[30:]]
    assert max(lids) > 0.5 and 0.5 < np.abs([played.head[0] for played in alone[30:]]).max() < 5
    assert np.abs(alone[40].head - alone[39].head).max() < 0.5
    back = [live.step(actor_frames[9], 8 + 0.1 * k, PLAIN) for k in range(5)][-1]
    fresh = Live(shared_bundle(), [load_avatar("ines")]).step(actor_frames[9], 0.0, PLAIN)
    assert np.abs(back.played["ines"].head - fresh.played["ines"].head).max() < 1


def test_gain_and_head_act_at_once(live, actor_frames):
    settings = LiveSettings(smoothing=0, gain=0, has_head_pose=False)
    frame = live.step(actor_frames[9], 0.0, settings).played["ines"]
    assert not frame.curves.any() and not frame.head.any()


def test_regions_act_as_they_do_on_files(live, actor_frames):
    whole = live.step(actor_frames[9], 0.0, PLAIN)
    frame = live.step(actor_frames[9], 0.1, replace(PLAIN, regions=Regions(mouth=0, jaw=0, head=0)))
    assert smile(whole) > 0.2 and smile(frame) == 0 and not frame.played["ines"].head.any()
    assert frame.played["ines"].curves[ARKIT.index("cheekSquintLeft")] > 0


def test_what_was_learned_of_an_avatar_drives_it_live_too(actor_frames):
    bundle, moss = shared_bundle(), load_avatar("moss")
    halved = Identity(moss.target_names, np.zeros(64, np.float32), moss.drive / 2)
    live = Live(replace(bundle, identities={"moss": halved}), [moss])
    frame = live.step(actor_frames[9], 0.0, PLAIN).played["moss"]
    assert frame.controls.max() > 0.1
    np.testing.assert_allclose(frame.controls, moss.control_weights(frame.curves[None])[0] / 2, atol=1e-6)


def test_nothing_is_carried_across_a_cut(live, actor_frames):
    other = np.ascontiguousarray(np.rot90(actor_frames[0], 0)[:, ::-1])[60:420, 80:560]
    calm = replace(PLAIN, smoothing=1)
    smiling = smile(live.step(actor_frames[9], 0.0, calm))
    cut = [live.step(other, 0.04, calm), Live(shared_bundle(), [load_avatar("ines")]).step(other, 0.0, calm)]
    assert smiling > 0.2 and smile(cut[0]) == pytest.approx(smile(cut[1]), abs=0.05)


def test_settings_out_of_range_are_refused():
    for wrong in ({"smoothing": 1.5}, {"gain": -1}):
        with pytest.raises(InputError, match="expected a number"):
            LiveSettings(**wrong)


def test_the_filter_is_calm_at_rest_and_quick_in_motion():
    noise = np.random.default_rng(0).normal(0, 0.02, 200)
    rest = OneEuro(1.0, slope=2.0)
    still = [float(rest.update(np.array([value]), k / 30)[0]) for k, value in enumerate(noise)]
    assert np.std(still[30:]) < 0.5 * np.std(noise[30:])
    step = OneEuro(1.0, slope=2.0)
    moved = [float(step.update(np.array([float(k > 10)]), k / 30)[0]) for k in range(16)]
    assert moved[10] == 0 and moved[14] > 0.8
