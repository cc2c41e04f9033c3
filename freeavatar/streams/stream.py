"""What every stream is: it takes samples as they come, and passes them on to another program."""

import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, NamedTuple

import numpy as np

from freeavatar.errors import InputError
from freeavatar.export.live_link import eye_degrees
from freeavatar.export.sink import Moment
from freeavatar.rig import ARKIT

logger = logging.getLogger(__name__)


class Sample(NamedTuple):
    """What a face shows at one time."""

    weights: np.ndarray
    """ARKit's blendshapes, ``(52,)`` in [0, 1]."""
    head: np.ndarray
    """Yaw, pitch, roll, ``(3,)`` degrees, signed as in the package."""
    confidence: float
    """How sure the face track is, in [0, 1]; 0 where no face was found."""
    time: float
    """Seconds from the first sample, increasing."""

    def weight(self, name: str) -> float:
        """Weight of one of ARKit's blendshapes."""
        return float(self.weights[ARKIT.index(name)])


def last_samples(time: float) -> list[Sample]:
    """What a stream ends with: the face at rest, then no face, so that no receiver keeps a grimace."""
    rest, ahead = np.zeros(len(ARKIT), np.float32), np.zeros(3, np.float32)
    return [Sample(rest, ahead, 1.0, time), Sample(rest, ahead, 0.0, time)]


def gaze(weights: np.ndarray) -> np.ndarray:
    """Yaw and pitch of the left eye, then of the right, within the head.

    Args:
        weights: ARKit's blendshapes, ``(52,)``.

    Returns:
        ``(2, 2)`` degrees, signed as the head's: positive yaw is towards the actor's left, positive pitch is down.
    """
    left_yaw, left_pitch, _, right_yaw, right_pitch, _ = eye_degrees(weights[None])[0]
    return np.array([[-left_yaw, left_pitch], [-right_yaw, right_pitch]])


@dataclass(frozen=True)
class Address:
    """Where a stream goes."""

    url: str
    """As it was given."""
    host: str
    port: int
    options: Mapping[str, str] = field(default_factory=dict)
    """The query: values of :attr:`Stream.OPTIONS`."""


class Stream:
    """Passes samples on at once and never waits for the receiver; also a sink for moments.

    A receiver that is not there, or goes away, raises nothing.
    """

    PORT: ClassVar[int]
    """Where receivers listen if nothing else is set."""
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Names of the query's options, and their values, the default first; empty where any text will do."""

    def __init__(self, address: Address) -> None:
        """Get ready; nothing is sent yet."""
        self.address = address

    def send(self, weights: np.ndarray, head: np.ndarray, confidence: float, time: float) -> None:
        """Pass on what a face shows now.

        Args:
            weights: ARKit's blendshapes, ``(52,)`` in [0, 1].
            head: yaw, pitch, roll, ``(3,)`` degrees, signed as in the package.
            confidence: how sure the face track is, in [0, 1]; 0 where no face was found.
            time: seconds from the first sample, increasing.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Send the face at rest and then no face, and let go of the receiver; calling it again does nothing."""
        raise NotImplementedError

    def write(self, moment: Moment) -> None:
        """Pass on a moment, as a sink does."""
        self.send(moment.curves, moment.head, moment.confidence, moment.time)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class UdpStream(Stream):
    """A stream of datagrams."""

    def __init__(self, address: Address) -> None:
        """Get ready; nothing is sent yet.

        Raises:
            InputError: the host is not known.
        """
        super().__init__(address)
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise InputError(
                "cannot find the host {} of {} ({}): check its name, or give its IP address.",
                address.host, address.url, error,
            ) from error  # fmt: skip
        # Receivers mostly listen on the older of localhost's two addresses, and lost datagrams tell nobody.
        family, kind, protocol, _, target = min(found, key=lambda row: row[0] != socket.AF_INET)
        self._socket, self._target = socket.socket(family, kind, protocol), target
        self._socket.setblocking(False)
        self._has_failed, self._time = False, 0.0

    def encode(self, sample: Sample) -> list[bytes]:
        """The datagrams of a sample."""
        raise NotImplementedError

    def send(self, weights: np.ndarray, head: np.ndarray, confidence: float, time: float) -> None:
        """Send the datagrams; an error of the network is logged the first time."""
        self._time = time
        for packet in self.encode(Sample(weights, head, confidence, time)):
            try:
                self._socket.sendto(packet, self._target)
            except OSError as error:
                if not self._has_failed:
                    logger.warning("%s cannot be reached (%s); sending goes on.", self.address.url, error)
                self._has_failed = True

    def close(self) -> None:
        """Send the face at rest and then no face, and close the socket."""
        if self._socket.fileno() >= 0:
            for sample in last_samples(self._time):
                self.send(*sample)
            self._socket.close()
