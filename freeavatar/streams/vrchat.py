"""VRChat's OSC input, with the face tracking parameters of VRCFaceTracking (https://docs.vrcft.io).

Each is a float of the avatar, ``/avatar/parameters/v2/JawOpen``; those that an avatar lacks VRChat leaves out. Names
and sums are of VRCFaceTracking's ``UnifiedExpressions`` and ``UnifiedExpressionsParameters``
(https://github.com/benaclejames/VRCFaceTracking); left and right are the actor's, x is positive to the actor's right
and y is positive upwards. Where a name stands for less than ARKit's blendshape, it gets the whole of it.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from freeavatar.rig import ARKIT
from freeavatar.streams.osc import osc_bundles, osc_message
from freeavatar.streams.stream import Address, Sample, UdpStream

_SIDES = ("Left", "Right")
_SAME = (
    "EyeSquint", "EyeWide", "BrowOuterUp", "CheekSquint", "NoseSneer", "MouthFrown", "MouthLowerDown", "MouthUpperUp",
    "MouthDimple", "MouthPress", "MouthStretch",
)  # fmt: skip
"""Pairs whose names are ARKit's."""
_PAIRS = {
    "BrowPinch": "browDown", "BrowLowerer": "browDown", "BrowDown": "browDown", "MouthCornerPull": "mouthSmile",
    "MouthCornerSlant": "mouthSmile", "MouthSmile": "mouthSmile", "MouthUpperDeepen": "mouthUpperUp",
}  # fmt: skip
"""Pairs that are a pair of ARKit's."""
_BOTH = {"BrowInnerUp": "browInnerUp", "CheekPuff": "cheekPuff", "CheekPuffSuck": "cheekPuff"}
"""Pairs that are one blendshape of ARKit's."""
_QUARTERS = {"LipPucker": "mouthPucker", "LipFunnel": "mouthFunnel"}
_SINGLE = {
    "JawOpen": "jawOpen", "JawLeft": "jawLeft", "JawRight": "jawRight", "JawForward": "jawForward",
    "JawZ": "jawForward", "MouthClosed": "mouthClose", "MouthRaiserUpper": "mouthShrugUpper",
    "MouthRaiserLower": "mouthShrugLower", "TongueOut": "tongueOut", "CheekPuffSuck": "cheekPuff",
    "BrowInnerUp": "browInnerUp",
}  # fmt: skip
_MEANS = (
    "BrowOuterUp", "BrowDown", "CheekSquint", "NoseSneer", "MouthUpperUp", "MouthLowerDown", "MouthStretch",
    "MouthPress", "MouthDimple",
)  # fmt: skip
"""Parameters that are the mean of their pair."""


def _rows() -> dict[str, Mapping[str, float]]:
    """Parameters that are sums of ARKit's blendshapes."""
    rows: dict[str, Mapping[str, float]] = {name: {source: 1.0} for name, source in _SINGLE.items()}
    pairs = {name: name[0].lower() + name[1:] for name in _SAME} | _PAIRS
    for name, source in pairs.items():
        rows |= {f"{name}{side}": {f"{source}{side}": 1.0} for side in _SIDES}
    rows |= {f"{name}{side}": {source: 1.0} for name, source in _BOTH.items() for side in _SIDES}
    for name, source in _QUARTERS.items():
        rows |= {f"{name}{lip}{side}": {source: 1.0} for lip in ("", "Upper", "Lower") for side in ("", *_SIDES)}
    for lip in ("Upper", "Lower"):
        rows |= {f"LipSuck{lip}{side}": {f"mouthRoll{lip}": 1.0} for side in ("", *_SIDES)}
        rows |= {f"Mouth{lip}{side}": {f"mouth{side}": 1.0} for side in _SIDES}
        rows[f"LipSuckFunnel{lip}"] = {f"mouthRoll{lip}": 1.0, "mouthFunnel": -1.0}
    rows["LipSuck"] = {"mouthRollUpper": 0.5, "mouthRollLower": 0.5}
    rows |= {f"Mouth{place}X": {"mouthRight": 1.0, "mouthLeft": -1.0} for place in ("", "Upper", "Lower")}
    rows["JawX"] = {"jawRight": 1.0, "jawLeft": -1.0}
    for name in _MEANS:
        rows[name] = {f"{pairs[name]}{side}": 0.5 for side in _SIDES}
    rows["MouthOpen"] = {f"{name}{side}": 0.25 for name in ("mouthUpperUp", "mouthLowerDown") for side in _SIDES}
    for side, (to_right, to_left) in (("Left", ("In", "Out")), ("Right", ("Out", "In"))):
        rows[f"Eye{side}X"] = {f"eyeLook{to_right}{side}": 1.0, f"eyeLook{to_left}{side}": -1.0}
        rows[f"Eye{side}Y"] = {f"eyeLookUp{side}": 1.0, f"eyeLookDown{side}": -1.0}
        rows[f"BrowUp{side}"] = {f"browOuterUp{side}": 0.6, "browInnerUp": 0.4}
        rows[f"BrowExpression{side}"] = {
            f"browOuterUp{side}": 0.5, "browInnerUp": 0.5, f"browDown{side}": -1.0,
        }  # fmt: skip
        rows[f"SmileFrown{side}"] = {f"mouthSmile{side}": 1.0, f"mouthFrown{side}": -1.0}
    for name in ("BrowUp", "BrowExpression", "SmileFrown"):
        rows[name] = _mean(rows[f"{name}Left"], rows[f"{name}Right"])
    return rows | {f"Eye{axis}": _mean(rows[f"EyeLeft{axis}"], rows[f"EyeRight{axis}"]) for axis in "XY"}


def _mean(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    return {name: (first.get(name, 0.0) + second.get(name, 0.0)) / 2 for name in {**first, **second}}


def _matrix(rows: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    return np.array([[row.get(name, 0.0) for name in ARKIT] for row in rows.values()])


_ROWS = _rows()
_SUMS = _matrix(_ROWS)
_TRACKING = ("EyeTrackingActive", "ExpressionTrackingActive", "LipTrackingActive")


class VrchatStream(UdpStream):
    """Sends parameters of the avatar; the option ``prefix`` stands before ``v2``, as in ``FT/``."""

    PORT = 9000
    OPTIONS: ClassVar = {"prefix": ()}

    def __init__(self, address: Address) -> None:
        """As :class:`UdpStream`; the option ``prefix`` is empty by default."""
        super().__init__(address)
        self._prefix = f"/avatar/parameters/{address.options.get('prefix', '')}v2/"

    def encode(self, sample: Sample) -> list[bytes]:
        """Bundles: whether there is a face, then its parameters."""
        values = unified_expressions(sample)
        is_tracked = sample.confidence > 0
        return osc_bundles([
            *(osc_message(f"/avatar/parameters/{name}", is_tracked) for name in _TRACKING),
            *(osc_message(self._prefix + name, value) for name, value in values.items()),
        ])  # fmt: skip


def unified_expressions(sample: Sample) -> dict[str, float]:
    """Parameters by name, in [-1, 1]."""
    sums = np.clip(_SUMS @ sample.weights, -1, 1).tolist()
    return dict(zip(_ROWS, sums, strict=True)) | _lids(sample) | _sadness(sample)


def _lids(sample: Sample) -> dict[str, float]:
    """Lids: ``EyeOpen`` is 1 at rest; ``EyeLid`` is 0.75 there, and the rest of it is for widened eyes."""
    opened = {side: 1 - sample.weight(f"eyeBlink{side}") for side in _SIDES}
    lids = {side: 0.75 * opened[side] + 0.25 * sample.weight(f"eyeWide{side}") for side in _SIDES}
    found = {f"EyeOpen{side}": value for side, value in opened.items()}
    found |= {f"EyeClosed{side}": 1 - value for side, value in opened.items()}
    found |= {f"EyeLid{side}": value for side, value in lids.items()}
    for name in ("EyeOpen", "EyeClosed", "EyeLid"):
        found[name] = (found[f"{name}Left"] + found[f"{name}Right"]) / 2
    for name in ("eyeWide", "eyeSquint"):
        found[f"E{name[1:]}"] = max(sample.weight(f"{name}{side}") for side in _SIDES)
    return found


def _sadness(sample: Sample) -> dict[str, float]:
    """A corner of the mouth that is pulled down or stretched, and smiles less that."""
    found = {}
    for side in _SIDES:
        found[f"MouthSad{side}"] = max(sample.weight(f"mouthFrown{side}"), sample.weight(f"mouthStretch{side}"))
        found[f"SmileSad{side}"] = sample.weight(f"mouthSmile{side}") - found[f"MouthSad{side}"]
    found["SmileSad"] = (found["SmileSadLeft"] + found["SmileSadRight"]) / 2
    return found
