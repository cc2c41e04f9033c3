"""The command ``live``: a camera or a video, followed and sent as it moves."""

import signal
import socket
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from freeavatar.avatars import load_avatar
from freeavatar.cli import main
from freeavatar.errors import InputError
from freeavatar.pipeline import shared_bundle
from freeavatar.pipeline.live import Live, LiveSettings
from freeavatar.rig import ARKIT
from freeavatar.sending import LiveSender, play_video
from freeavatar.streams import Clock
from freeavatar.video import Camera, camera
from tests.files import ROOT


class JumpingClock(Clock):
    """A clock that jumps to when somebody waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.time += max(seconds, 0)
        return super().wait(0)


class Ear:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.heard: list[tuple[np.ndarray, np.ndarray, float, float]] = []

    def send(self, *sample) -> None:
        self.heard.append(sample)


class FakeCapture:
    """An OpenCV camera that shows wide pictures, ever brighter, until it is pulled out."""

    def __init__(self, pictures: int = 10**6) -> None:
        self.left, self.count, self.is_released = pictures, 0, False

    def isOpened(self) -> bool:
        return True

    def set(self, key, value) -> bool:
        return True

    def read(self):
        time.sleep(0.005)
        self.count += 1
        return self.count <= self.left, np.full((72, 1280, 3), (self.count % 200, 0, 0), np.uint8)

    def release(self) -> None:
        self.is_released = True


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        yield receiver


def sender(clock, ear, said, **options) -> LiveSender:
    live = Live(shared_bundle(), [load_avatar("ines")])
    return LiveSender(live, [ear], LiveSettings(smoothing=0), clock=clock, say=said.append, **options)


def smile(sample) -> float:
    return float(sample[0][[ARKIT.index("mouthSmileLeft"), ARKIT.index("mouthSmileRight")]].mean())


def test_every_moment_is_sent_and_told_once_a_second(actor_frames):
    clock, ear, said = JumpingClock(), Ear(), []
    sending = sender(clock, ear, said)
    for k in range(8):
        clock.time = 100.03 + k / 4
        sending.step(actor_frames[9] if k < 5 else np.full_like(actor_frames[0], 90), 100 + k / 4)
    assert sending.sent == len(ear.heard) == 8 and [sample[3] for sample in ear.heard] == [k / 4 for k in range(8)]
    assert [sample[2] > 0 for sample in ear.heard] == [True] * 5 + [False] * 3
    assert said == [" 4.9 frames a second,  30 ms to sent, a face"]


def test_the_face_at_a_second_becomes_neutral_and_none_in_sight_is_said(actor_frames):
    clock, ear, said = JumpingClock(), Ear(), []
    sending = sender(clock, ear, said, calibrate_after=0.2)
    sending.calibrate()
    for k in range(4):
        sending.step(actor_frames[9], 100 + k / 10)
    assert said[0].startswith("not calibrated: no face is in sight") and said[1].startswith("calibrated")
    smiles = [smile(sample) for sample in ear.heard]
    assert min(smiles[:3]) > 0.2 and smiles[3] < 0.2 * smiles[2]


def test_a_video_plays_in_real_time_drops_what_is_late_and_begins_again(short_clip):
    clock = JumpingClock()
    due = [round(taken - 100, 3) for _, taken in play_video(short_clip, clock)]
    assert due == [round(k / 25, 3) for k in range(10)]
    clock, due = JumpingClock(), []
    for _, taken in play_video(short_clip, clock, is_looping=True):
        due.append(round(taken - 100, 3))
        clock.time += 0.1 if len(due) == 1 else 0
        if len(due) == 12:
            clock.stop()
    assert due[:3] == [0, 0.08, 0.12] and due[8:] == [0.36, 0.4, 0.44, 0.48]


def test_a_camera_gives_its_newest_picture_and_is_let_go(monkeypatch):
    capture = FakeCapture()
    monkeypatch.setattr(cv2, "VideoCapture", lambda number, backend: capture)
    with Camera(0) as opened:
        shots = iter(opened)
        first, before = next(shots)
        time.sleep(0.1)
        second, after = next(shots)
    assert first.shape == (36, 640, 3) and first[0, 0, 2] > 0 and first[0, 0, 0] == 0  # scaled, and RGB
    assert second[0, 0, 2] > first[0, 0, 2] + 3 and after > before + 0.05
    assert capture.is_released


def test_a_camera_that_is_pulled_out_or_silent_is_explained(monkeypatch):
    monkeypatch.setattr(camera, "_PATIENCE", 0.2)
    monkeypatch.setattr(cv2, "VideoCapture", lambda number, backend: FakeCapture(1))
    with Camera(0) as opened, pytest.raises(InputError, match="camera 0 sends no pictures any more: plug it in"):
        list(opened)


@pytest.mark.parametrize(
    ("camera", "words"), [("77", "camera 77 cannot be opened: plug it in"), ("none.mp4", "There is no file none.mp4")]
)
def test_what_cannot_be_followed_ends_with_one_sentence(camera, words, capfd):
    assert main(["live", "--camera", camera, "--send", "vmc://127.0.0.1:9"]) == 1
    assert f"freeavatar: {words}" in capfd.readouterr().err.splitlines()[-1]


def test_enter_calibrates_and_ctrl_c_ends_with_a_face_at_rest_and_then_none(short_clip, receiver):
    url = f"ifacialmocap://127.0.0.1:{receiver.getsockname()[1]}"
    command = ["live", "--camera", str(short_clip), "--send", url, "--loop", "--mirrored"]
    process = subprocess.Popen(
        [sys.executable, "-m", "freeavatar", *command], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert b"trackingStatus&1" in receiver.recv(8192)
    process.stdin.write("\n")
    process.stdin.flush()
    for _ in range(15):
        receiver.recv(8192)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    receiver.settimeout(0.1)
    packets = []
    while True:
        try:
            packets.append(receiver.recv(8192))
        except TimeoutError:
            break
    assert process.returncode == 0 and "frames sent" in out and "calibrated: this face is neutral" in err
    assert [b"trackingStatus&1" in packet for packet in packets[-2:]] == [True, False]
