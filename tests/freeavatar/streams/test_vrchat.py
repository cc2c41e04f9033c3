"""VRChat's parameters, read by python-osc's own server."""

import pytest

from freeavatar.streams import open_stream

START = "/avatar/parameters/"


def receive(osc, given, query=""):
    stream = open_stream(f"vrchat://127.0.0.1:{osc.port}{query}")
    stream.send(*given)
    osc.take(5)
    stream.close()
    assert all(address.startswith(START) for address, _ in osc.messages)
    return {address.removeprefix(START): values[0] for address, values in osc.messages}


def test_a_face_at_rest_has_open_eyes_and_nothing_else(osc, sample):
    found = receive(osc, sample())
    assert {name: value for name, value in found.items() if value and not isinstance(value, bool)} == {
        "v2/EyeOpenLeft": 1, "v2/EyeOpenRight": 1, "v2/EyeOpen": 1, "v2/EyeLidLeft": 0.75, "v2/EyeLidRight": 0.75,
        "v2/EyeLid": 0.75,
    }  # fmt: skip
    assert max(osc.sizes) <= 1432


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        ({"jawOpen": 0.5, "mouthClose": 0.2}, {"JawOpen": 0.5, "MouthClosed": 0.2}),
        ({"jawRight": 0.5}, {"JawX": 0.5, "JawRight": 0.5}),
        ({"mouthLeft": 0.4}, {"MouthX": -0.4, "MouthUpperLeft": 0.4, "MouthLowerLeft": 0.4}),
        ({"mouthPucker": 0.3}, {"LipPucker": 0.3, "LipPuckerUpperLeft": 0.3, "LipPuckerLowerRight": 0.3}),
        ({"mouthRollUpper": 0.6}, {"LipSuckUpper": 0.6, "LipSuckUpperLeft": 0.6, "LipSuck": 0.3}),
        ({"mouthSmileLeft": 0.8}, {"MouthCornerPullLeft": 0.8, "SmileFrownLeft": 0.8, "SmileFrown": 0.4}),
        ({"mouthFrownRight": 0.5}, {"SmileSadRight": -0.5, "SmileSad": -0.25, "MouthSadRight": 0.5}),
        ({"browInnerUp": 0.5}, {"BrowInnerUpLeft": 0.5, "BrowUpRight": 0.2, "BrowExpressionLeft": 0.25}),
        ({"browDownLeft": 1.0}, {"BrowLowererLeft": 1.0, "BrowPinchLeft": 1.0, "BrowExpressionLeft": -1.0}),
        ({"cheekPuff": 0.5}, {"CheekPuffLeft": 0.5, "CheekPuffSuck": 0.5}),
        ({"eyeBlinkLeft": 1.0}, {"EyeOpenLeft": 0.0, "EyeLidLeft": 0.0, "EyeOpen": 0.5}),
        ({"eyeWideRight": 1.0}, {"EyeLidRight": 1.0, "EyeWideRight": 1.0, "EyeWide": 1.0}),
        ({"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0}, {"EyeLeftX": 1.0, "EyeRightX": 1.0, "EyeX": 1.0}),
        ({"eyeLookUpLeft": 0.5, "eyeLookUpRight": 0.5}, {"EyeLeftY": 0.5, "EyeY": 0.5}),
        ({"tongueOut": 1.0}, {"TongueOut": 1.0}),
    ],
)
def test_unified_expressions_are_sums_of_arkits(osc, sample, weights, wanted):
    found = receive(osc, sample(**weights))
    assert {name: found[f"v2/{name}"] for name in wanted} == pytest.approx(wanted, abs=1e-6)


def test_the_prefix_stands_before_the_version(osc, sample):
    found = receive(osc, sample(jawOpen=1.0), "?prefix=FT/")
    assert found["FT/v2/JawOpen"] == 1.0 and "v2/JawOpen" not in found


@pytest.mark.parametrize("confidence", [0.0, 0.9])
def test_whether_there_is_a_face_is_said(osc, sample, confidence):
    found = receive(osc, sample(confidence=confidence))
    assert found["EyeTrackingActive"] is found["LipTrackingActive"] is (confidence > 0)
