"""The command ``send``: a recording goes to every receiver, and Ctrl-C ends it."""

import signal
import socket
import subprocess
import sys

from freeavatar.cli import main
from freeavatar.export import write_live_link_csv
from tests.files import ROOT


def test_a_recording_goes_to_several_receivers(curves, receiver, tmp_path, capsys):
    write_live_link_csv(curves(4, rate=10), tmp_path / "a.csv")
    port = receiver.getsockname()[1]
    urls = [f"ifacialmocap://127.0.0.1:{port}", "vmc://127.0.0.1:9", "livelink://127.0.0.1:9"]
    command = ["send", str(tmp_path / "a.csv")]
    assert main([*command, *(word for url in urls for word in ("--send", url))]) == 0
    assert "4 frames sent, 0 dropped" in capsys.readouterr().out
    jaws = [int(receiver.recv(8192).decode().split("jawOpen&")[1].split("|")[0]) for _ in range(6)]
    assert jaws == [10, 40, 70, 100, 0, 0]


def test_a_bad_url_ends_with_one_sentence(curves, tmp_path, capsys):
    write_live_link_csv(curves(2), tmp_path / "a.csv")
    assert main(["send", str(tmp_path / "a.csv"), "--send", "vnc://127.0.0.1"]) == 1
    assert capsys.readouterr().err.startswith("freeavatar: cannot send to 'vnc://127.0.0.1'")


def test_ctrl_c_ends_a_loop_with_a_face_at_rest_and_then_none(curves, receiver, tmp_path):
    write_live_link_csv(curves(3), tmp_path / "a.csv")
    url = f"ifacialmocap://127.0.0.1:{receiver.getsockname()[1]}"
    command = [sys.executable, "-m", "freeavatar", "send", str(tmp_path / "a.csv"), "--send", url, "--loop"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    receiver.settimeout(60)
    for _ in range(5):  # more than one turn
        receiver.recv(8192)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0 and err == "" and "frames sent" in out
    assert [b"trackingStatus&1" in packet for packet in received(receiver)[-2:]] == [True, False]


def received(receiver: socket.socket) -> list[bytes]:
    """All that waits."""
    receiver.settimeout(0.1)
    packets = []
    while True:
        try:
            packets.append(receiver.recv(8192))
        except TimeoutError:
            return packets
