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
    return Live(shared_bundle(), ines, size=128)


def smile(frame) -> float:
    return float(frame.curves[[ARKIT.index("mouthSmileLeft"), ARKIT.index("mouthSmileRight")]].mean())


def test_the_avatar_follows_the_actor(live, actor_frames):
    rest = live.step(actor_frames[0], 0.0, PLAIN)
    before, drawn = smile(rest), rest.picture.copy()
    after = [live.step(actor_frames[9], 0.1 * k, PLAIN) for k in (1, 2, 3)][-1]
    assert after.confidence > 0.6 and smile(after) > before + 0.2
    assert np.abs(after.picture.astype(int) - drawn).mean() > 1


def test_calibration_makes_the_present_face_neutral(live, actor_frames):
    with pytest.raises(FaceError, match="look into the camera"):
        live.calibrate()
    smiling = smile(live.step(actor_frames[9], 0.0, PLAIN))
    live.calibrate()
    again = live.step(actor_frames[9], 0.1, PLAIN)
    assert smile(again) < 0.2 * smiling and np.abs(again.head).max() < 1


def test_a_face_that_was_lost_is_no_neutral(live, actor_frames):
    live.step(actor_frames[9], 0.0, PLAIN)
    live.step(np.full_like(actor_frames[0], 90), 5.0, PLAIN)
    with pytest.raises(FaceError, match="no face is in sight"):
        live.calibrate()


def test_an_avatar_is_looked_at_once_and_not_for_every_frame(live, actor_frames, monkeypatch):
    monkeypatch.setattr("freeavatar.pipeline.live.identity_of", None)
    assert live.step(actor_frames[9], 0.0, PLAIN).confidence > 0


def test_the_calibration_outlives_a_change_of_avatar(live, actor_frames):
    live.step(actor_frames[9], 0.0, PLAIN)
    live.calibrate()
    live.change_avatar(load_avatar("pip"))
    assert live.avatar == "pip" and smile(live.step(actor_frames[9], 0.1, PLAIN)) < 0.15


def test_a_lost_face_holds_then_eases_to_neutral(live, actor_frames):
    held = smile(live.step(actor_frames[9], 0.0, PLAIN))
    empty = np.full_like(actor_frames[0], 90)
    soon, late = live.step(empty, 0.2, PLAIN), live.step(empty, 2.0, PLAIN)
    assert soon.confidence == 0 and smile(soon) == pytest.approx(held, abs=1e-3) and smile(late) < 1e-3


def test_gain_and_head_act_at_once(live, actor_frames):
    frame = live.step(actor_frames[9], 0.0, LiveSettings(smoothing=0, gain=0, has_head_pose=False))
    assert not frame.curves.any() and not frame.head.any()


def test_the_framing_may_change_from_frame_to_frame(live, actor_frames):
    still = replace(PLAIN, gain=0, has_head_pose=False)
    framings = ("face", "bust", "face")
    face, bust, again = (
        live.step(actor_frames[9], k / 30, replace(still, framing=framing)).picture.copy().astype(int)
        for k, framing in enumerate(framings)
    )
    assert np.abs(face - bust).mean() > 5
    assert np.abs(face - again).mean() < 0.1


def test_regions_act_as_they_do_on_files(live, actor_frames):
    whole = live.step(actor_frames[9], 0.0, PLAIN)
    frame = live.step(actor_frames[9], 0.1, replace(PLAIN, regions=Regions(mouth=0, jaw=0, head=0)))
    assert smile(whole) > 0.2 and smile(frame) == 0 and not frame.head.any()
    assert frame.curves[ARKIT.index("cheekSquintLeft")] > 0


def test_what_was_learned_of_an_avatar_drives_it_live_too(actor_frames):
    bundle, moss = shared_bundle(), load_avatar("moss")
    halved = Identity(moss.target_names, np.zeros(64, np.float32), moss.drive / 2)
    live = Live(replace(bundle, identities={"moss": halved}), moss, size=64)
    frame = live.step(actor_frames[9], 0.0, PLAIN)
    assert frame.controls.max() > 0.1
    np.testing.assert_allclose(frame.controls, moss.control_weights(frame.curves[None])[0] / 2, atol=1e-6)


def test_nothing_is_carried_across_a_cut(live, actor_frames):
    other = np.ascontiguousarray(np.rot90(actor_frames[0], 0)[:, ::-1])[60:420, 80:560]
    calm = replace(PLAIN, smoothing=1)
    smiling = smile(live.step(actor_frames[9], 0.0, calm))
    cut = [live.step(other, 0.04, calm), Live(shared_bundle(), load_avatar("ines"), size=64).step(other, 0.0, calm)]
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
