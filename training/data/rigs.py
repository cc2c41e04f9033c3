"""Drawing rigs, poses, lights and backgrounds for rendered training faces."""

from dataclasses import dataclass

import numpy as np

from freeavatar.render import Light, Lighting
from freeavatar.rig import ARKIT, mirrored
from training.data.emotions import PROTOTYPES, Shapes, draw_form, emotional_rig

INDEX = {name: k for k, name in enumerate(ARKIT)}
_RAREST = (
    "cheekPuff", "noseSneer", "tongueOut", "jawSide", "mouthSide", "mouthRollLower", "mouthRollUpper",
    "mouthPress", "mouthFrown", "eyeWide", "jawForward", "browDown", "mouthFunnel", "mouthShrugLower",
    "mouthShrugUpper", "mouthDimple", "mouthStretch", "eyeBlink", "cheekSquint", "browOuterUp",
)  # fmt: skip
"""What is put together where rare shapes are to be common; the four that are hardest to see twice as often."""
_RARE = (
    *_RAREST,
    "mouthClose", "mouthPucker", "mouthUpperUp", "mouthLowerDown", "mouthSmile", "browInnerUp", "jawOpen",
)  # fmt: skip
_ODDS = np.where(np.isin(_RAREST, ("cheekPuff", "noseSneer", "jawSide", "mouthSide")), 2, 1) / (len(_RAREST) + 4)
_EXCLUSIVE = (
    ("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"),
    ("eyeBlinkLeft", "eyeWideLeft"), ("eyeBlinkRight", "eyeWideRight"),
    ("eyeLookUpLeft", "eyeLookDownLeft"), ("eyeLookUpRight", "eyeLookDownRight"),
    ("eyeLookInLeft", "eyeLookOutLeft"), ("eyeLookInRight", "eyeLookOutRight"),
    ("mouthFunnel", "mouthPucker"), ("cheekPuff", "jawOpen"),
)  # fmt: skip
_SIDED = tuple(
    (INDEX[name], INDEX[name.replace("Left", "Right")])
    for name in ARKIT
    if name.endswith("Left") and not name.startswith(("eyeLook", "jaw", "mouthLeft"))
)
"""Pairs of channels that do the same to either side of the face."""
_EMOTIONAL = 0.35
"""Share of emotional faces among what is drawn by default."""
_CONFUSED_FACES: tuple[Shapes, ...] = (
    {"browDown": (0.5, 1), "eyeWide": (0.3, 1), "browInnerUp": (0, 0.4)},
    {"mouthStretch": (0.3, 1), "mouthLowerDown": (0.4, 1), "mouthUpperUp": (0.2, 1), "browDown": (0, 1),
     "cheekSquint": (0, 0.8), "eyeSquint": (0, 0.8)},
    {"mouthFunnel": (0.3, 1), "jawOpen": (0.05, 0.45)},
    {"mouthPucker": (0.3, 1), "jawOpen": (0, 0.25)},
    {"jawOpen": (0.1, 0.6), "mouthFunnel": (0, 0.4), "mouthLowerDown": (0, 0.25), "mouthSmile": (0, 0.3)},
    {"mouthRollLower": (0.2, 1), "mouthRollUpper": (0.2, 1), "mouthPress": (0.2, 1), "mouthDimple": (0, 0.6)},
    {"mouthShrugLower": (0.3, 1), "mouthPress": (0, 0.8), "mouthFrown": (0.2, 0.8), "browInnerUp": (0, 0.8)},
    {"mouthLeft": (0.3, 1), "mouthSmileLeft": (0, 0.6), "mouthDimpleLeft": (0, 0.7), "eyeSquintLeft": (0, 0.6)},
    {"mouthRight": (0.3, 1), "mouthSmileRight": (0, 0.6), "mouthDimpleRight": (0, 0.7), "eyeSquintRight": (0, 0.6)},
)  # fmt: skip
"""Faces that a viewer tells apart at once, and a regression mixes up: a glare, clenched teeth, small round mouths,
speech, lips rolled in, a chin about to cry, the mouth pulled aside."""
_CONFUSED = 0.2
"""Share of those among what is drawn by default."""
_REGIONS = ("brow", "eye", "mouth", "cheek", "jaw", "nose")


@dataclass(frozen=True)
class RigSampler:
    """Draws rigs: expressions people were seen with, plus shapes they seldom show."""

    seen: np.ndarray
    """Silver labels, ``(N, 52)`` in [0, 1]; channels without a label are 0."""
    is_natural: bool = False
    """Keep to expressions people were seen with, a third of them with one rare shape on top."""
    is_rare: bool = False
    """Put two to four rare shapes on every one of them."""

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One rig, ``(52,)`` float32 in [0, 1]."""
        if not (self.is_natural or self.is_rare):
            share = rng.uniform()
            if share < _EMOTIONAL:
                return self._emotional(rng)
            if share < _EMOTIONAL + _CONFUSED:
                return self._confused(rng)
        kind = 0.0 if self.is_natural or self.is_rare else rng.uniform()
        rig = np.zeros(len(ARKIT), np.float32)
        if kind < 0.72:
            rig = self.seen[rng.integers(len(self.seen))] * rng.uniform(0.6, 1.25)
            if rng.uniform() < 0.5:
                rig = rig[mirrored(ARKIT)]
            if rng.uniform() < 0.35:
                rig = self._lean(rig, rng)
        count = rng.choice(4, p=[0.30, 0.35, 0.22, 0.13]) if kind < 0.72 else rng.integers(0, 5)
        if self.is_natural:
            count = int(rng.uniform() < 1 / 3)
        if self.is_rare:
            added = rng.choice(_RAREST, rng.integers(2, 5), replace=False, p=_ODDS)
        else:
            added = rng.choice(_RARE, count, replace=False)
        for name in added:
            self._add(rig, str(name), rng)
        if rng.uniform() < 0.4:
            self._gaze(rig, rng)
        return np.clip(self._consistent(rig, rng), 0, 1).astype(np.float32)

    def _emotional(self, rng: np.random.Generator) -> np.ndarray:
        """A face of an emotion, now and then one-sided, with a shape that does not belong to it, or while speaking."""
        emotion = str(rng.choice([name for name in PROTOTYPES if name != "neutral"]))
        rig = emotional_rig(emotion, rng, strength=rng.uniform(0.3, 1))
        if rng.uniform() < 0.4:
            rig = np.maximum(rig, self.seen[rng.integers(len(self.seen))] * rng.uniform(0.2, 0.7))
        if rng.uniform() < 0.3:
            rig = self._lean(rig, rng)
        if rng.uniform() < 0.3:
            self._add(rig, str(rng.choice(_RARE)), rng)
        if rng.uniform() < 0.5:
            self._gaze(rig, rng)
        return np.clip(self._consistent(rig, rng), 0, 1).astype(np.float32)

    def _confused(self, rng: np.random.Generator) -> np.ndarray:
        """One of the faces that are mixed up, half of the time over one that people were seen with."""
        rig = draw_form(_CONFUSED_FACES[rng.integers(len(_CONFUSED_FACES))], rng, strength=rng.uniform(0.4, 1))
        if rng.uniform() < 0.5:
            seen = self.seen[rng.integers(len(self.seen))] * rng.uniform(0.2, 0.8)
            rig = np.where(rig > 0, rig, seen)
        if rng.uniform() < 0.5:
            self._gaze(rig, rng)
        return np.clip(self._consistent(rig, rng), 0, 1).astype(np.float32)

    @staticmethod
    def _lean(rig: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Weaken one side of one region."""
        region, side = rng.choice(_REGIONS[:3]), rng.choice(["Left", "Right"])
        weaker = [k for name, k in INDEX.items() if name.startswith(region) and name.endswith(side)]
        rig = rig.copy()
        rig[weaker] *= rng.uniform(0, 0.6)
        return rig

    @staticmethod
    def _add(rig: np.ndarray, name: str, rng: np.random.Generator) -> None:
        amount = rng.uniform(0.15, 1.0)
        if name in INDEX:
            rig[INDEX[name]] = amount
            if name == "mouthClose":
                rig[INDEX["jawOpen"]] = max(rig[INDEX["jawOpen"]], amount)
        elif name.endswith("Side"):
            rig[INDEX[name.replace("Side", str(rng.choice(["Left", "Right"])))]] = amount
        else:
            left, right = rng.choice([[1, 1], [1, 0], [0, 1]], p=[0.5, 0.25, 0.25]) * amount * rng.uniform(0.7, 1, 2)
            for side, value in (("Left", left), ("Right", right)):
                rig[INDEX[name + side]] = max(value, rig[INDEX[name + side]] * (value > 0))

    @staticmethod
    def _gaze(rig: np.ndarray, rng: np.random.Generator) -> None:
        """Both eyes to one place."""
        across, up = np.clip(rng.normal(0, 0.45, 2), -1, 1)
        for side, inward in (("Left", -across), ("Right", across)):
            rig[INDEX[f"eyeLookIn{side}"]], rig[INDEX[f"eyeLookOut{side}"]] = max(inward, 0), max(-inward, 0)
            rig[INDEX[f"eyeLookUp{side}"]], rig[INDEX[f"eyeLookDown{side}"]] = max(up, 0), max(-up, 0)

    @staticmethod
    def _consistent(rig: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Keep what no face can show together from the draw."""
        for one, other in _EXCLUSIVE:
            a, b = INDEX[one], INDEX[other]
            weaker = a if rig[a] < rig[b] else b
            rig[weaker] = 0
        rig[INDEX["mouthClose"]] = min(rig[INDEX["mouthClose"]], rig[INDEX["jawOpen"]])
        if rig[INDEX["tongueOut"]] > 0:
            rig[INDEX["jawOpen"]] = max(rig[INDEX["jawOpen"]], rng.uniform(0.2, 0.6))
            rig[INDEX["mouthClose"]] = 0
        return rig


def one_sided(rig: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A rig ``(52,)`` weakened and made symmetric, with one or two shapes on its left side alone."""
    rig = symmetric(rig) * rng.uniform(0, 0.6)
    for pair in rng.choice(len(_SIDED), rng.integers(1, 3), replace=False):
        left, right = _SIDED[pair]
        rig[left], rig[right] = rng.uniform(0.5, 1), 0
    return rig.astype(np.float32)


def symmetric(rig: np.ndarray) -> np.ndarray:
    """A rig ``(52,)`` with the stronger side's weights on both sides; the jaw and the mouth in the middle."""
    rig = rig.copy()
    left, right = np.array(_SIDED).T
    rig[left] = rig[right] = np.maximum(rig[left], rig[right])
    rig[[INDEX[name] for pair in _EXCLUSIVE[:2] for name in pair]] = 0
    return rig


def draw_head(rng: np.random.Generator) -> np.ndarray:
    """Yaw, pitch and roll of a head, ``(3,)`` degrees."""
    return rng.normal(0, [13, 9, 6]) * rng.choice([0.3, 1.0, 1.4], p=[0.2, 0.6, 0.2])


def draw_wide_head(rng: np.random.Generator) -> np.ndarray:
    """As :func:`draw_head`, one head in eight turned as far as 60 degrees."""
    if rng.uniform() < 1 / 8:
        return np.array([rng.uniform(-60, 60), rng.uniform(-25, 25), rng.normal(0, 8)])
    return draw_head(rng)


def draw_lighting(rng: np.random.Generator) -> Lighting:
    """Key, fill and rim of random place, strength and warmth."""

    def light(strength: float, z: float) -> Light:
        direction = (rng.normal(0, 0.8), rng.normal(0.4, 0.6), z)
        warmth = rng.uniform(-0.12, 0.12)
        return Light(direction, (strength * (1 + warmth), strength, strength * (1 - warmth)))

    lights = (
        light(rng.uniform(0.5, 2.2), rng.uniform(0.2, 1.2)),
        light(rng.uniform(0, 0.9), rng.uniform(0.2, 1)),
        light(rng.uniform(0, 1.0), rng.uniform(-1, -0.2)),
    )
    sky = rng.uniform(0.15, 0.9)
    return Lighting(lights, (sky, sky, sky), (sky * rng.uniform(0.2, 1),) * 3)
