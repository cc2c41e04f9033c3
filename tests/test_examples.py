"""The committed example is what the code makes of the committed clip."""

import json

import numpy as np
import pytest

from examples.make_example import ACTOR, AVATAR, RATE, SECONDS, perform
from freeavatar.avatars import load_avatar
from freeavatar.avatars.glb import read_glb
from freeavatar.export import read_rig_json
from freeavatar.pipeline import animate
from freeavatar.rig import ARKIT
from freeavatar.video import VideoReader
from tests.files import ROOT

RESULT = ROOT / "examples" / "result"


def test_the_example_is_complete_and_small(actor_clip):
    frames = int(SECONDS * RATE)
    assert len(read_rig_json(RESULT / f"actor_{AVATAR}.json").times) == frames
    assert VideoReader(RESULT / f"actor_{AVATAR}.mp4").info.frames == frames
    assert actor_clip.stat().st_size < 2e6


def test_the_examples_model_is_the_avatar_that_ships():
    shown, shipped = read_glb(RESULT / f"actor_{AVATAR}.glb"), load_avatar(AVATAR)
    np.testing.assert_array_equal(shown.positions, shipped.positions)
    np.testing.assert_array_equal(shown.colors, shipped.colors)


@pytest.fixture(scope="module")
def again(actor_clip, tmp_path_factory):
    """The example made again."""
    report = animate(actor_clip, [AVATAR], out=tmp_path_factory.mktemp("again"))
    return read_rig_json(report.files[AVATAR]["json"])


def test_making_it_again_gives_the_same_rig(again):
    committed = read_rig_json(RESULT / f"actor_{AVATAR}.json")
    np.testing.assert_allclose(again.weights, committed.weights, atol=0.02)
    assert json.loads((RESULT / f"actor_{AVATAR}.json").read_text())["names"] == list(ARKIT)


def test_the_avatar_follows_the_actors_script(again):
    """The rig that drives the example correlates with the rig that drove the actor."""
    names = load_avatar(ACTOR).target_names
    truth, _ = perform(names, again.times)
    for name in ("jawOpen", "mouthSmileLeft", "mouthPucker", "browInnerUp", "eyeBlinkLeft", "eyeBlinkRight"):
        found, real = again.weights[:, ARKIT.index(name)], truth[:, names.index(name)]
        assert np.corrcoef(found, real)[0, 1] > 0.6, name
