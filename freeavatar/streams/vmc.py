"""VMC protocol 3.1 (https://protocol.vmc.info/english): a performer's messages to a marionette, by OSC.

Bones are local rotations of Unity's humanoid, whose axes are left-handed: a head that looks along +Z has its right at
+X, and +Y is up. Ours are glTF's, which differ by the sign of x alone, as UniVRM has it for VRM 1.0 models
(https://github.com/vrm-c/UniVRM, ``Axes.X``). Mirrored along x, the rotation ``(x, y, z, w)`` is ``(x, -y, -z, w)``.

Where bones are is the avatar's own business: positions are 0, and receivers are to leave them out.
"""

from typing import ClassVar

import numpy as np
from pythonosc.osc_message import OscMessage

from freeavatar.avatars.drive import drive_matrix
from freeavatar.rig import ARKIT
from freeavatar.rotation import head_quaternion
from freeavatar.streams.osc import osc_bundles, osc_message
from freeavatar.streams.stream import Address, Sample, UdpStream, gaze

_NAMES = {
    "arkit": ARKIT,
    "Arkit": tuple(name[0].upper() + name[1:] for name in ARKIT),
    "vrm0": (
        "A", "I", "U", "E", "O", "Blink_L", "Blink_R", "Joy", "Angry", "Sorrow", "Fun", "LookUp", "LookDown",
        "LookLeft", "LookRight",
    ),
    "vrm1": (
        "aa", "ih", "ou", "ee", "oh", "blinkLeft", "blinkRight", "happy", "angry", "sad", "relaxed", "surprised",
        "lookUp", "lookDown", "lookLeft", "lookRight",
    ),
}  # fmt: skip
"""What expressions of an avatar are called, by the option ``names``; a blink of both eyes is two blinks."""
_LOADED, _CALIBRATED, _NORMAL = 1, 3, 0
"""Of ``/VMC/Ext/OK``: the sender's model, its calibration, the calibration's mode."""
_MIRROR = np.array([1.0, -1.0, -1.0, 1.0])


class VmcStream(UdpStream):
    """Sends expressions and the rotations of neck, head and eyes."""

    PORT = 39539
    OPTIONS: ClassVar = {"names": tuple(_NAMES)}

    def __init__(self, address: Address) -> None:
        """As :class:`UdpStream`; the option ``names`` says what expressions are called."""
        super().__init__(address)
        self._names = _NAMES[address.options["names"]]
        self._drive = drive_matrix(self._names, {})

    def encode(self, sample: Sample) -> list[bytes]:
        """Bundles: state and time, bones, expressions, and last what applies those."""
        values = np.clip(self._drive @ sample.weights, 0, 1)
        return osc_bundles([
            osc_message("/VMC/Ext/OK", _LOADED, _CALIBRATED, _NORMAL, int(sample.confidence > 0)),
            osc_message("/VMC/Ext/T", float(sample.time)),
            *_bones(sample),
            *(osc_message("/VMC/Ext/Blend/Val", n, float(v)) for n, v in zip(self._names, values, strict=True)),
            osc_message("/VMC/Ext/Blend/Apply"),
        ])  # fmt: skip


def _bones(sample: Sample) -> list[OscMessage]:
    half = _half(head_quaternion(*sample.head))
    eyes = [head_quaternion(yaw, pitch, 0) for yaw, pitch in gaze(sample.weights)]
    turns = {"Neck": half, "Head": half, "LeftEye": eyes[0], "RightEye": eyes[1]}
    return [
        osc_message("/VMC/Ext/Bone/Pos", bone, 0.0, 0.0, 0.0, *map(float, turn * _MIRROR))
        for bone, turn in turns.items()
    ]


def _half(turn: np.ndarray) -> np.ndarray:
    """The rotation that, done twice, is a unit quaternion ``(4,)`` of less than a full turn."""
    middle = turn + (0.0, 0.0, 0.0, 1.0)
    return middle / np.linalg.norm(middle)
