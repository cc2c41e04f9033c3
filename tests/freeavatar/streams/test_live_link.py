"""Live Link Face over UDP, read by a parser written from the layout of Unreal Engine's plugin."""

import struct

import numpy as np
import pytest

from freeavatar.streams import open_stream

VALUES = [
    "EyeBlinkLeft", "EyeLookDownLeft", "EyeLookInLeft", "EyeLookOutLeft", "EyeLookUpLeft", "EyeSquintLeft",
    "EyeWideLeft", "EyeBlinkRight", "EyeLookDownRight", "EyeLookInRight", "EyeLookOutRight", "EyeLookUpRight",
    "EyeSquintRight", "EyeWideRight", "JawForward", "JawLeft", "JawRight", "JawOpen", "MouthClose", "MouthFunnel",
    "MouthPucker", "MouthLeft", "MouthRight", "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft", "MouthFrownRight",
    "MouthDimpleLeft", "MouthDimpleRight", "MouthStretchLeft", "MouthStretchRight", "MouthRollLower", "MouthRollUpper",
    "MouthShrugLower", "MouthShrugUpper", "MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft",
    "MouthLowerDownRight", "MouthUpperUpLeft", "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp",
    "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft",
    "NoseSneerRight", "TongueOut", "HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll",
    "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
]  # fmt: skip
"""EARFaceBlendShape, in its order."""


def parse(packet: bytes) -> dict:
    place = 1

    def text() -> str:
        nonlocal place
        (length,) = struct.unpack_from(">i", packet, place)
        place += 4 + length
        return packet[place - length : place].decode()

    device, subject = text(), text()
    frame, part, rate, base = struct.unpack_from(">ifii", packet, place)
    place += 16
    found = {
        "version": packet[0], "device": device, "subject": subject, "frame": frame, "part": part, "rate": (rate, base)
    }  # fmt: skip
    if place < len(packet):
        assert packet[place] == 61 and len(packet) == place + 1 + 61 * 4
        found |= dict(zip(VALUES, struct.unpack_from(">61f", packet, place + 1), strict=True))
    return found


@pytest.fixture
def send(receiver):
    """Sends a sample and parses what comes of it."""

    def act(given, query=""):
        with open_stream(f"livelink://127.0.0.1:{receiver.getsockname()[1]}{query}") as stream:
            stream.send(*given)
            found = parse(receiver.recv(2048))
        receiver.recv(2048), receiver.recv(2048)
        return found

    return act


def test_a_packet_names_its_device_subject_and_time(send, sample):
    found = send(sample(time=2.51))
    assert (found["version"], found["subject"], found["rate"]) == (6, "FreeAvatar", (60, 1))
    assert len(found["device"]) == 36  # an UUID, which some receivers count on
    assert found["frame"] == 150 and found["part"] == pytest.approx(0.6, abs=1e-5)
    assert send(sample(), "?subject=Ad%C3%A9le")["subject"] == "Adéle"


@pytest.mark.parametrize("name", VALUES[:52])
def test_every_blendshape_has_its_place(send, sample, name):
    found = send(sample(**{name[0].lower() + name[1:]: 0.5}))
    assert [known for known in VALUES[:52] if found[known]] == [name] and found[name] == 0.5


def test_rotations_are_those_of_the_csv(send, sample):
    found = send(sample(head=(30, 20, 10), eyeLookInLeft=1.0, eyeLookUpRight=0.5))
    turns = [found[name] for name in VALUES[52:]]
    wanted = [30, -20, -10, 35, 0, 0, 0, -17.5, 0]
    np.testing.assert_allclose(np.degrees(turns), wanted, atol=1e-4)


def test_without_a_face_the_packet_ends_before_the_values(send, sample):
    found = send(sample(confidence=0.0, time=1.0))
    assert found["frame"] == 60 and "JawOpen" not in found


def test_it_ends_with_a_face_at_rest_and_then_none(receiver, sample):
    with open_stream(f"livelink://127.0.0.1:{receiver.getsockname()[1]}") as stream:
        stream.send(*sample(jawOpen=1.0, time=3.0))
    first, rest, none = (parse(receiver.recv(2048)) for _ in range(3))
    assert first["JawOpen"] == 1 and rest["JawOpen"] == 0 and "JawOpen" not in none
    assert none["frame"] == 180
