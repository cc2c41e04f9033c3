"""Live Link Face over UDP, version 6: what Epic's iPhone app sends to Unreal Engine.

The layout is that of Unreal Engine's plugin AppleARKitFaceSupport (``AppleARKitLiveLinkSource.cpp``), everything
big-endian: version (u8), device and subject (each an i32 length and UTF-8), frame (i32), part of a frame (f32), frames
a second (two i32, a fraction); with a face also the count of values (u8) and the values (f32). The values come in the
order of the engine's enumeration ``EARFaceBlendShape``, which has jaw and mouth to the left before those to the right,
unlike the CSV of the app; what they mean, and the signs of rotations, is as in :mod:`freeavatar.export.live_link`.
"""

import socket
import struct
import uuid
from fractions import Fraction
from typing import ClassVar

from freeavatar.export.live_link import live_link_values
from freeavatar.rig import ARKIT
from freeavatar.streams.stream import Address, Sample, UdpStream

VERSION = 6
RATE = Fraction(60)
"""What frames are counted in, a second: the app's."""
_SWAPPED = {"jawRight": "jawLeft", "jawLeft": "jawRight", "mouthRight": "mouthLeft", "mouthLeft": "mouthRight"}
_ORDER = [*(ARKIT.index(_SWAPPED.get(name, name)) for name in ARKIT), *range(len(ARKIT), 61)]
"""Column of the CSV of each value."""


class LiveLinkStream(UdpStream):
    """Sends blendshapes, and the rotations of head and eyes; the option ``subject`` is the name in Unreal Engine."""

    PORT = 11111
    OPTIONS: ClassVar = {"subject": ()}

    def __init__(self, address: Address) -> None:
        """As :class:`UdpStream`; the option ``subject`` is ``FreeAvatar`` by default."""
        super().__init__(address)
        device = str(uuid.uuid5(uuid.NAMESPACE_DNS, socket.gethostname())).upper()
        names = (device, address.options.get("subject", "FreeAvatar"))
        self._head = struct.pack(">B", VERSION) + b"".join(map(_text, names))

    def encode(self, sample: Sample) -> list[bytes]:
        """One datagram, without values where there is no face."""
        frame, part = divmod(sample.time * float(RATE), 1)
        packet = self._head + struct.pack(">ifii", int(frame), part, RATE.numerator, RATE.denominator)
        if sample.confidence > 0:
            values = live_link_values(sample.weights[None], sample.head[None])[0, _ORDER]
            packet += struct.pack(">B61f", len(values), *values)
        return [packet]


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">i", len(data)) + data
