"""iFacialMocap's text, in both versions, read by a parser written from its page for developers."""

import pytest

from freeavatar.rig import ARKIT
from freeavatar.streams import open_stream


def parse(text: str, mark: str) -> tuple[dict[str, int], dict[str, list[float]]]:
    assert text.endswith("|")
    shapes, turns = {}, {}
    for part in text.split("|")[:-1]:
        if "#" in part:
            name, numbers = part.split("#")
            turns[name] = [float(number) for number in numbers.split(",")]
        else:
            name, number = part.split(mark)
            shapes[name] = int(number)
    return shapes, turns


@pytest.fixture
def send(receiver):
    def act(given, query=""):
        with open_stream(f"ifacialmocap://127.0.0.1:{receiver.getsockname()[1]}{query}") as stream:
            stream.send(*given)
            return receiver.recv(8192).decode()

    return act


@pytest.mark.parametrize(("query", "mark"), [("", "&"), ("?version=2", "&"), ("?version=1", "-")])
def test_blendshapes_are_whole_percents(send, sample, query, mark):
    given = sample(eyeBlinkLeft=0.254, mouthSmileRight=1.0, jawLeft=0.1, mouthRight=0.2, browInnerUp=0.3)
    shapes, turns = parse(send(given, query), mark)
    assert len(shapes) == len(ARKIT) + 1 and shapes.pop("trackingStatus") == 1
    assert {name: value for name, value in shapes.items() if value} == {
        "eyeBlink_L": 25, "mouthSmile_R": 100, "jawLeft": 10, "mouthRight": 20, "browInnerUp": 30
    }  # fmt: skip
    assert set(turns) == {"=head", "rightEye", "leftEye"} and len(turns["=head"]) == 6


def test_rotations_are_about_arkits_axes(send, sample):
    _, turns = parse(send(sample(head=(10, 20, 5), eyeLookDownLeft=0.17, eyeLookInRight=0.06)), "&")
    assert turns["=head"] == pytest.approx([20, 10, -5, 0, 0, 0])
    # As in the page's example: eyes that look down have a positive X, a right eye that looks in has a positive Y.
    assert turns["leftEye"] == pytest.approx([5.95, 0, 0], abs=0.01)
    assert turns["rightEye"] == pytest.approx([0, 2.1, 0], abs=0.01)


def test_a_lost_face_is_said(send, sample):
    shapes, _ = parse(send(sample(confidence=0.0)), "&")
    assert shapes["trackingStatus"] == 0
