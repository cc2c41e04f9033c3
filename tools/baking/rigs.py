"""Rigs of the cast: ARKit's 52 blendshapes, VRM's presets, an artist's own controls."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tools.baking.correctives import CORRECTIVES
from tools.baking.part import Part


def _sides(**shapes: float) -> dict[str, float]:
    """Both sides of each shape; those without sides as they are."""
    bare = {"jawOpen", "browInnerUp", "mouthFunnel", "mouthPucker", "mouthClose", "mouthRollLower", "mouthRollUpper",
            "mouthShrugLower", "mouthShrugUpper", "jawForward", "cheekPuff", "tongueOut"}  # fmt: skip
    sided = {name: (name,) if name in bare else (f"{name}Left", f"{name}Right") for name in shapes}
    return {side: weight for name, weight in shapes.items() for side in sided[name]}


@dataclass(frozen=True)
class Rig:
    """An avatar's controls, as sums of ARKit's shapes."""

    controls: Mapping[str, Mapping[str, float]] | None = None
    """Shapes of each control; None: ARKit's own."""
    correctives: Mapping[str, tuple[tuple[str, ...], Mapping[str, float]]] = field(default_factory=dict)
    """Per corrective, the controls whose product it follows, and its shapes."""
    drivers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """How the controls follow ARKit's; empty where their names say it."""

    def apply(self, parts: list[Part], names: tuple[str, ...]) -> list[Part]:
        """Put the rig's own targets in place of ARKit's: controls, then correctives."""
        shapes = [_corrected(shape) for shape in (self.controls or {}).values()]
        shapes += [dict(shape) for _, shape in self.correctives.values()]
        matrix = np.zeros((len(shapes), len(names)))
        for row, shape in enumerate(shapes):
            for name, weight in shape.items():
                matrix[row, names.index(name)] = weight
        return [replace(part, offsets=np.einsum("ck,kvd->cvd", matrix, part.offsets)) for part in parts]

    def terms(self, terms: Sequence[tuple[float, tuple[str, ...]]]) -> list[tuple[float, tuple[str, ...]]]:
        """A sum of products of ARKit's targets, as sum over the rig's own controls: what it is where each one is 1."""
        if self.controls is None or all(shape == {name: 1.0} for name, shape in self.controls.items()):
            return list(terms)
        values = {
            name: sum(c * math.prod(shape.get(entry, 0.0) for entry in inputs) for c, inputs in terms)
            for name, shape in self.controls.items()
        }
        return [(min(value, 1.0), (name,)) for name, value in values.items() if value > LEAST_TERM]


ON_TOP_OF = {"mouthClose": "jawOpen", "lips_seal": "jaw_drop"}
"""Controls that are made for another one at full weight."""
LEAST_TERM = 0.02
"""Controls that bring less than this of a fold do not bring it."""


def _corrected(shape: Mapping[str, float]) -> dict[str, float]:
    """A sum of ARKit's shapes with the correctives that it calls for."""

    def value(name: str) -> float:
        return max(1 - shape.get(name[1:], 0.0), 0.0) if name[0] == "!" else shape.get(name, 0.0)

    fixes = {fix: value(one) * value(other) for fix, (one, other) in CORRECTIVES.items()}
    return {**shape, **{fix: weight for fix, weight in fixes.items() if weight}}


def arkit_rig(names: tuple[str, ...]) -> Rig:
    """ARKit's blendshapes with the correctives of their sums."""
    return Rig({n: {n: 1.0} for n in names}, {fix: (pair, {fix: 1.0}) for fix, pair in CORRECTIVES.items()})


VRM_RIG = Rig(
    controls={
        "happy": _sides(mouthSmile=0.95, cheekSquint=0.3, eyeSquint=0.25, browInnerUp=0.15),
        "angry": _sides(browDown=1.3, noseSneer=0.35, mouthPress=0.35, mouthFrown=0.5, eyeSquint=0.35),
        "sad": _sides(browInnerUp=1.1, mouthFrown=1.2, mouthShrugLower=0.4, eyeSquint=0.15),
        "relaxed": _sides(mouthSmile=0.45, eyeBlink=0.3, browInnerUp=0.1),
        "surprised": _sides(eyeWide=1.1, browInnerUp=0.9, browOuterUp=0.9, jawOpen=0.35),
        "aa": _sides(jawOpen=0.8, mouthLowerDown=0.25, mouthUpperUp=0.15),
        "ih": _sides(jawOpen=0.22, mouthStretch=0.55, mouthUpperUp=0.25, mouthLowerDown=0.3),
        "ou": _sides(jawOpen=0.06, mouthPucker=1.1, mouthFunnel=0.1),
        "ee": _sides(jawOpen=0.12, mouthSmile=0.35, mouthStretch=0.4, mouthUpperUp=0.3, mouthLowerDown=0.35),
        "oh": _sides(jawOpen=0.42, mouthFunnel=0.8),
        "blink": _sides(eyeBlink=1.0),
        "blinkLeft": {"eyeBlinkLeft": 1.0},
        "blinkRight": {"eyeBlinkRight": 1.0},
        "lookUp": _sides(eyeLookUp=1.0),
        "lookDown": _sides(eyeLookDown=1.0),
        "lookLeft": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
        "lookRight": {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
    },
    correctives={
        "fix_aa_happy": (("aa", "happy"), {"fix_jawOpen_mouthSmileLeft": 0.8, "fix_jawOpen_mouthSmileRight": 0.8}),
        "fix_oh_happy": (("oh", "happy"), {"fix_jawOpen_mouthSmileLeft": 0.38, "fix_jawOpen_mouthSmileRight": 0.38}),
        "fix_aa_ou": (("aa", "ou"), {"fix_jawOpen_mouthPucker": 0.68}),
        "fix_blinkLeft_lookDown": (("blinkLeft", "lookDown"), {"fix_eyeBlinkLeft_eyeLookDownLeft": 1.0}),
        "fix_blinkRight_lookDown": (("blinkRight", "lookDown"), {"fix_eyeBlinkRight_eyeLookDownRight": 1.0}),
        "fix_halfBlinkLeft": (("blinkLeft", "!blinkLeft"), {"fix_eyeBlinkLeft_half": 1.0}),
        "fix_halfBlinkRight": (("blinkRight", "!blinkRight"), {"fix_eyeBlinkRight_half": 1.0}),
    },
)
"""VRM 1.0's expression presets: they are driven by their names."""


def _artist_controls() -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Shapes and drivers of the artist's controls."""
    shapes: dict[str, dict[str, float]] = {}
    drivers: dict[str, dict[str, float]] = {}

    def control(name: str, shape: dict[str, float], driver: dict[str, float] | None = None) -> None:
        shapes[name] = shape
        drivers[name] = driver or {k: 1.0 for k, v in shape.items() if v == max(shape.values())}

    for side, word in (("L", "Left"), ("R", "Right")):
        control(f"brow_raise_{side}", {f"browOuterUp{word}": 1.0, "browInnerUp": 0.25})
        control(f"lid_close_{side}", {f"eyeBlink{word}": 1.0})
        control(f"lid_wide_{side}", {f"eyeWide{word}": 1.0})
        control(f"lid_squint_{side}", {f"eyeSquint{word}": 0.7, f"cheekSquint{word}": 0.5})
        control(f"smile_{side}", {f"mouthSmile{word}": 1.35, f"cheekSquint{word}": 0.6})
        control(f"grimace_{side}", {f"mouthStretch{word}": 1.0, f"mouthLowerDown{word}": 0.3})
        control(f"mouth_sad_{side}", {f"mouthFrown{word}": 2.2})
        control(f"sneer_{side}", {f"noseSneer{word}": 1.2, f"mouthUpperUp{word}": 0.4})
        control(f"lip_raise_{side}", {f"mouthUpperUp{word}": 1.0})
        control(f"lip_drop_{side}", {f"mouthLowerDown{word}": 1.0})
        control(f"mouth_shift_{side}", {f"mouth{word}": 1.0, f"jaw{word}": 0.4})
    control("brow_furrow", _sides(browDown=1.4), _sides(browDown=0.5))
    control("brow_worry", {"browInnerUp": 1.0})
    control("gaze_up", _sides(eyeLookUp=1.0), _sides(eyeLookUp=0.5))
    control("gaze_down", _sides(eyeLookDown=1.0), _sides(eyeLookDown=0.5))
    left, right = {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0}, {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0}
    control("gaze_left", left, {k: 0.5 for k in left})
    control("gaze_right", right, {k: 0.5 for k in right})
    control("jaw_drop", {"jawOpen": 1.0})
    control("jaw_thrust", {"jawForward": 1.0})
    control("lips_kiss", {"mouthPucker": 1.0})
    control("lips_round", {"mouthFunnel": 1.0})
    control("lips_tuck", {"mouthRollLower": 1.0, "mouthRollUpper": 1.0}, {"mouthRollLower": 0.5, "mouthRollUpper": 0.5})
    control("lips_press", _sides(mouthPress=1.0), _sides(mouthPress=0.5))
    control("lips_seal", {"mouthClose": 1.0})
    control("cheeks_puff", {"cheekPuff": 1.0})
    control("tongue", {"tongueOut": 1.0})
    control("ears_up", {"earsUp": 1.0}, {"browInnerUp": 0.5, "browOuterUpLeft": 0.3, "browOuterUpRight": 0.3})
    control("ears_back", {"earsBack": 1.0}, _sides(browDown=0.35, mouthFrown=0.3))
    return shapes, drivers


_SHAPES, _DRIVERS = _artist_controls()

ARTIST_RIG = Rig(
    controls=_SHAPES,
    correctives={
        **{
            f"smile_{side}*jaw_drop": ((f"smile_{side}", "jaw_drop"), {f"fix_jawOpen_mouthSmile{word}": 1.0})
            for side, word in (("L", "Left"), ("R", "Right"))
        },
        **{
            f"lid_close_{side}*gaze_down": (
                (f"lid_close_{side}", "gaze_down"), {f"fix_eyeBlink{word}_eyeLookDown{word}": 1.0}
            )
            for side, word in (("L", "Left"), ("R", "Right"))
        },
        **{
            f"lid_half_{side}": (
                (f"lid_close_{side}", f"!lid_close_{side}"), {f"fix_eyeBlink{word}_half": 1.0}
            )
            for side, word in (("L", "Left"), ("R", "Right"))
        },
        **{
            f"lid_squint_{side}*sneer_{side}": (
                (f"lid_squint_{side}", f"sneer_{side}"), {f"fix_eyeSquint{word}_noseSneer{word}": 0.84}
            )
            for side, word in (("L", "Left"), ("R", "Right"))
        },
        "lips_kiss*jaw_drop": (("lips_kiss", "jaw_drop"), {"fix_jawOpen_mouthPucker": 1.0}),
        "brow_furrow*sneer_L": (("brow_furrow", "sneer_L"), {"noseSneerLeft": 0.3}),
        "brow_furrow*sneer_R": (("brow_furrow", "sneer_R"), {"noseSneerRight": 0.3}),
    },
    drivers=_DRIVERS,
)  # fmt: skip
"""Controls as an animator would name them, with combination shapes."""
