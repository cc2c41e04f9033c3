"""VMC, read by python-osc's own server; rotations are looked at in Unity's axes."""

import numpy as np
import pytest

from freeavatar.rig import ARKIT
from freeavatar.streams import open_stream


def turned(quaternion, vector):
    """A vector turned by a unit quaternion ``(x, y, z, w)``."""
    axis, w = np.array(quaternion[:3]), quaternion[3]
    cross = np.cross(axis, vector) + w * np.array(vector)
    return np.array(vector) + 2 * np.cross(axis, cross)


FORWARD, UP = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)
"""In Unity's left-handed axes; a head that looks forward has its right at +X."""


def receive(osc, given, packets, query=""):
    """Send a sample and take its packets."""
    stream = open_stream(f"vmc://127.0.0.1:{osc.port}{query}")
    stream.send(*given)
    osc.take(packets)
    stream.close()
    return {values[0]: values[1:] for values in osc.values("/VMC/Ext/Bone/Pos")}


def shapes(osc):
    return dict(osc.values("/VMC/Ext/Blend/Val"))


def test_all_of_arkits_blendshapes_are_sent_and_then_applied(osc, sample):
    receive(osc, sample(jawOpen=0.25, eyeBlinkLeft=1.0, time=1.5), 3)
    assert shapes(osc).keys() == set(ARKIT)
    assert (shapes(osc)["jawOpen"], shapes(osc)["eyeBlinkLeft"], shapes(osc)["tongueOut"]) == (0.25, 1.0, 0.0)
    assert osc.messages[-1] == ("/VMC/Ext/Blend/Apply", ())
    assert osc.values("/VMC/Ext/OK") == [(1, 3, 0, 1)] and osc.values("/VMC/Ext/T") == [(1.5,)]


def test_no_packet_is_longer_than_a_network_carries(osc, sample):
    receive(osc, sample(), 3)
    assert max(osc.sizes) <= 1432


def test_a_lost_face_is_said(osc, sample):
    receive(osc, sample(confidence=0.0), 3)
    assert osc.values("/VMC/Ext/OK") == [(1, 3, 0, 0)]


def test_unity_style_names_begin_with_a_capital(osc, sample):
    receive(osc, sample(mouthSmileLeft=0.5), 3, "?names=Arkit")
    assert shapes(osc)["MouthSmileLeft"] == 0.5


@pytest.mark.parametrize(
    ("names", "mouth", "blink", "smile", "sulk"),
    [("vrm0", "A", "Blink_L", "Joy", "Sorrow"), ("vrm1", "aa", "blinkLeft", "happy", "sad")],
)
def test_vrm_presets_are_mixed_of_arkits_blendshapes(osc, sample, names, mouth, blink, smile, sulk):
    given = sample(jawOpen=0.6, eyeBlinkLeft=1.0, mouthSmileLeft=1.0, mouthSmileRight=1.0)
    receive(osc, given, 1, f"?names={names}")
    found = shapes(osc)
    assert found[mouth] > 0.5 and found[blink] == 1.0 and found[smile] > 0.8 and found[sulk] == 0.0
    assert all(0 <= value <= 1 for value in found.values())


def test_every_vrm_preset_follows_something(osc, sample):
    receive(osc, sample(), 1, "?names=vrm1")
    assert {"aa", "ih", "ou", "ee", "oh", "happy", "angry", "sad", "relaxed", "surprised"} < shapes(osc).keys()


@pytest.mark.parametrize(
    ("head", "axis", "where"),
    [
        ((30.0, 0.0, 0.0), FORWARD, (-np.sin(np.pi / 6), 0, np.cos(np.pi / 6))),  # to the actor's left
        ((0.0, 30.0, 0.0), FORWARD, (0, -np.sin(np.pi / 6), np.cos(np.pi / 6))),  # down
        ((0.0, 0.0, 30.0), UP, (-np.sin(np.pi / 6), np.cos(np.pi / 6), 0)),  # towards the actor's left shoulder
    ],
)
def test_neck_and_head_share_a_turn_that_unity_sees_as_ours(osc, sample, head, axis, where):
    bones = receive(osc, sample(head=head), 3)
    neck, head = bones["Neck"][3:], bones["Head"][3:]
    np.testing.assert_allclose(neck, head, atol=1e-6)
    np.testing.assert_allclose(turned(neck, turned(head, axis)), where, atol=1e-5)
    assert bones["Head"][:3] == (0, 0, 0)


def test_eyes_turn_by_the_look_weights(osc, sample):
    bones = receive(osc, sample(eyeLookOutLeft=1.0, eyeLookInRight=1.0, eyeLookDownLeft=0.5, eyeLookDownRight=0.5), 3)
    for eye in ("LeftEye", "RightEye"):
        x, y, z = turned(bones[eye][3:], FORWARD)
        assert x < -0.4 and y < -0.2 and z > 0.7  # to the actor's left and down


def test_each_eye_has_its_own_turn(osc, sample):
    bones = receive(osc, sample(eyeLookInLeft=1.0), 3)
    assert turned(bones["LeftEye"][3:], FORWARD)[0] > 0.4 and bones["RightEye"][3:] == (0, 0, 0, 1)
