"""iFacialMocap over UDP (https://www.ifacialmocap.com/for-developer/): a line of text a sample.

Blendshapes are whole percents, ``jawOpen-12|mouthSmile_L-40|...`` in version 1 and ``jawOpen&12|...`` in version 2;
``trackingStatus``, which newer apps send, is 1 with a face and 0 without. Then come
``=head#X,Y,Z,x,y,z|rightEye#X,Y,Z|leftEye#X,Y,Z|``: rotations in degrees and the head's place in metres, which is not
known and 0. The page names no signs. In its example eyes that look down by 0.17 have X = 6.03, and the right eye, which
looks in by 0.06, has Y = 2.44: rotations are about ARKit's face axes (the actor's left is +X, up is +Y, the nose is
+Z), so X is our pitch and Y our yaw; Z, by those axes, is our roll, negated.
"""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from freeavatar.rig import ARKIT
from freeavatar.streams.stream import Address, Sample, UdpStream, gaze

_MARKS = {"1": "-", "2": "&"}
"""What stands between name and value, by version."""


def _short(name: str) -> str:
    """A blendshape as the app calls it: ``eyeBlink_L`` for ``eyeBlinkLeft``, while jaw and mouth keep their sides."""
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return name
    return name.replace("Left", "_L").replace("Right", "_R")


_NAMES = tuple(map(_short, ARKIT))


class IFacialMocapStream(UdpStream):
    """Sends blendshapes, and the rotations of head and eyes, as text."""

    PORT = 49983
    OPTIONS: ClassVar = {"version": ("2", "1")}

    def __init__(self, address: Address) -> None:
        """As :class:`UdpStream`; the option ``version`` is of the protocol."""
        super().__init__(address)
        self._mark = _MARKS[address.options["version"]]

    def encode(self, sample: Sample) -> list[bytes]:
        """One datagram."""
        percents = np.rint(np.clip(sample.weights, 0, 1) * 100).astype(int).tolist()
        pairs = [("trackingStatus", int(sample.confidence > 0)), *zip(_NAMES, percents, strict=True)]
        yaw, pitch, roll = sample.head
        (left_yaw, left_pitch), (right_yaw, right_pitch) = gaze(sample.weights)
        parts = [
            *(f"{name}{self._mark}{value}" for name, value in pairs),
            "=head#" + _numbers((pitch, yaw, -roll, 0, 0, 0)),
            "rightEye#" + _numbers((right_pitch, right_yaw, 0)),
            "leftEye#" + _numbers((left_pitch, left_yaw, 0)),
        ]
        return ["".join(f"{part}|" for part in parts).encode()]


def _numbers(values: Iterable[float]) -> str:
    return ",".join(f"{value:.4f}" for value in values)
