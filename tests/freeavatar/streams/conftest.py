"""Receivers on loopback, and faces to send."""

import socket
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import OSCUDPServer

from freeavatar.rig import ARKIT, Curves
from freeavatar.streams.stream import Sample


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A UDP socket that waits for datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(2)
        yield receiver


class OscReceiver:
    """python-osc's own server, which keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, tuple]] = []
        self.sizes: list[int] = []
        dispatcher = Dispatcher()
        dispatcher.set_default_handler(lambda address, *values: self.messages.append((address, values)))
        self._server = OSCUDPServer(("127.0.0.1", 0), dispatcher)
        self._server.timeout = 2
        self._server.verify_request = self._note
        self.port = self._server.server_address[1]

    def _note(self, request: tuple, _client: object) -> bool:
        self.sizes.append(len(request[0]))
        return True

    def take(self, count: int) -> None:
        """Handle that many datagrams."""
        for _ in range(count):
            self._server.handle_request()
        assert len(self.sizes) == count

    def values(self, address: str) -> list[tuple]:
        """What was said to an address, in order."""
        return [values for known, values in self.messages if known == address]

    def close(self) -> None:
        self._server.server_close()


@pytest.fixture
def osc() -> Iterator[OscReceiver]:
    receiver = OscReceiver()
    yield receiver
    receiver.close()


@pytest.fixture
def sample() -> Callable[..., Sample]:
    """Makes a sample of named weights."""

    def make(*, head=(0.0, 0.0, 0.0), confidence=1.0, time=0.0, **weights: float) -> Sample:
        row = np.array([weights.get(name, 0.0) for name in ARKIT], np.float32)
        return Sample(row, np.array(head, np.float32), confidence, time)

    return make


@pytest.fixture
def curves() -> Callable[..., Curves]:
    """Makes curves whose jaw opens a little more each frame."""

    def make(frames: int = 10, rate: int = 30) -> Curves:
        weights = np.zeros((frames, len(ARKIT)), np.float32)
        weights[:, ARKIT.index("jawOpen")] = np.linspace(0.1, 1, frames)
        return Curves(
            weights=weights, times=np.arange(frames) / rate, rate=Fraction(rate),
            head=np.zeros((frames, 3), np.float32), confidence=np.ones(frames, np.float32),
            cuts=np.zeros(frames, bool),
        )  # fmt: skip

    return make
