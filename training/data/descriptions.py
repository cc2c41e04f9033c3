"""What viewers see in a face: how strong each of two dozen movements is, and the rig that looks as strong.

A table of descriptions is a CSV with a column ``file`` and one for each of :data:`MOVEMENTS`: a strength from 0 (none)
over 1 (slight) and 2 (clear) to 3 (as strong as people can), or from -3 to 3 where a movement has two directions. Names
and sides are ARKit's; a movement that viewers cannot tell apart from its twin, such as both halves of a frown, is one.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freeavatar.errors import InputError
from freeavatar.files import replacing
from freeavatar.rig import ARKIT

STRONGEST = 3
"""The strongest that people can."""


@dataclass(frozen=True)
class Movement:
    """A movement that viewers describe."""

    name: str
    """ARKit's name, or what names of several blendshapes share."""
    question: str
    """What viewers are asked, in the picture's left and right."""
    seen: float
    """Strength that viewers see in a weight of 1 on the cast, above ``rest``."""
    rest: float = 0.1
    """Strength that they see in a weight of 0."""
    is_signed: bool = False
    """It has two directions: strengths below 0 are the other one."""


MOVEMENTS = (
    Movement("browDown", "brows lowered or pulled together (anger, concentration)", 3.3, 0.25),
    Movement("browInnerUp", "inner ends of the brows raised (worry, fear, surprise)", 2.5, 0.3),
    Movement("browOuterUpRight", "outer half of the brow at the picture's left raised", 2.3),
    Movement("browOuterUpLeft", "outer half of the brow at the picture's right raised", 2.3),
    Movement("eyeWide", "upper lids raised, eyes wide open", 2.1),
    Movement("eyeBlinkRight", "eye at the picture's left: 0 open, 1 lid half down, 2 almost shut, 3 shut", 2.7, 0.5),
    Movement("eyeBlinkLeft", "eye at the picture's right: 0 open, 1 lid half down, 2 almost shut, 3 shut", 2.7, 0.5),
    Movement("eyeSquint", "lower lids and cheeks raised, eyes tightened (smile, glare, disgust)", 2.3),
    Movement("eyeLookUp", "-3 to 3: eyes turned down (below 0) or up, relative to the head", 1.5, 0, is_signed=True),
    Movement("noseSneer", "nose wrinkled, its wings raised", 2.7),
    Movement("mouthUpperUp", "upper lip raised: teeth or gum shown by lifting it, snarl", 3.8, 0.3),
    Movement("mouthSmileRight", "corner of the mouth at the picture's left pulled up and out", 3.1),
    Movement("mouthSmileLeft", "corner of the mouth at the picture's right pulled up and out", 3.1),
    Movement("mouthFrown", "corners of the mouth pulled down", 2.6),
    Movement("jawOpen", "jaw dropped: 0 closed, 1 parted, 2 open, 3 wide", 3.0, 0.4),
    Movement("mouthLowerDown", "lower lip pulled down, lower teeth shown", 2.0),
    Movement("mouthStretch", "mouth pulled wide without rising (grimace)", 2.7),
    Movement("mouthPucker", "lips pushed forward and narrow (kiss, pout)", 1.6),
    Movement("mouthFunnel", "lips pushed out and open in a ring (oh, sh)", 2.5),
    Movement("mouthPress", "lips pressed against each other", 1.8),
    Movement("mouthRoll", "lips rolled in, their red hidden", 2.2),
    Movement("mouthShrugLower", "lower lip and chin pushed up (doubt, about to cry)", 2.3),
    Movement("mouthLeft", "-3 to 3: whole mouth to the picture's left (below 0) or right", 2.0, 0, is_signed=True),
)
"""In the order of the columns. ``seen`` and ``rest`` are fits to descriptions of 200 rigs on two of the cast, but for
the lids, which viewers call half down where a smile or a glare narrows the eyes."""
NAMES = tuple(movement.name for movement in MOVEMENTS)
_PLACE = {name: k for k, name in enumerate(NAMES)}
_RIG = {name: k for k, name in enumerate(ARKIT)}
_SEEN, _REST, _SIGNED = (
    np.array([getattr(movement, name) for movement in MOVEMENTS]) for name in ("seen", "rest", "is_signed")
)
_ROLLED = ("mouthRollLower", "mouthRollUpper")
_PAIRS = {name: (f"{name}Left", f"{name}Right") for name in NAMES if f"{name}Left" in _RIG and name != "eyeLookUp"}
_PAIRS["mouthRoll"] = _ROLLED
"""Movements that are two blendshapes at once."""
_SHARE = 0.45
"""Of what viewers say in a weight. They say it in whole steps; the guess, which knows less, follows small motions."""
_LEANING = 0.6
"""How far a guess may lean a movement towards one of its blendshapes, in [0, 1]."""


def read_descriptions(path: Path) -> dict[str, np.ndarray]:
    """Strengths ``(M,)`` of each file of a table, in the order of :data:`MOVEMENTS`.

    Raises:
        InputError: no such file, a column is missing, or a strength is no number in its range.
    """
    if not path.is_file():
        raise InputError("{} does not exist: give a table of training.describe_faces.", path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for number, row in enumerate(rows, 2):
        try:
            strengths = np.array([float(row[name]) for name in NAMES])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("{}, line {}: expected the columns file, {}.", path, number, ", ".join(NAMES)) from error
        if not are_possible(strengths):
            raise InputError("{}, line {}: strengths go from 0 or -{} to {}.", path, number, STRONGEST, STRONGEST)
        found[row["file"]] = strengths
    return found


def are_possible(strengths: np.ndarray) -> bool:
    """Whether strengths ``(M,)`` are in the ranges that viewers are given."""
    low = np.where(_SIGNED, -STRONGEST, 0)
    return bool(((strengths >= low) & (strengths <= STRONGEST)).all())


def write_descriptions(path: Path, found: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write a table of files and their strengths ``(M,)``."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", *NAMES])
        writer.writerows([name, *(f"{value:g}" for value in strengths)] for name, strengths in found)


def mirrored_strengths(strengths: np.ndarray) -> np.ndarray:
    """Strengths ``(N, M)`` of the mirror images."""
    twins = [_PLACE[_other_side(name)] for name in NAMES]
    return strengths[:, twins] * np.where(np.array(NAMES) == "mouthLeft", -1, 1)


def _other_side(name: str) -> str:
    if name == "mouthLeft":
        return name
    swapped = name.replace("Left", "@").replace("Right", "Left").replace("@", "Right")
    return swapped if swapped in _PLACE else name


def strengths_of_rigs(rigs: np.ndarray) -> np.ndarray:
    """What stands for each movement in rigs ``(N, 52)``: the mean of its weights, or their difference, ``(N, M)``."""
    found = np.zeros((len(rigs), len(NAMES)))
    for k, name in enumerate(NAMES):
        names = _PAIRS.get(name, (name,))
        if name == "eyeLookUp":
            up, down = _sides(rigs, "eyeLookUp"), _sides(rigs, "eyeLookDown")
            found[:, k] = (up - down).mean(1)
        elif name == "mouthLeft":
            found[:, k] = rigs[:, _RIG["mouthLeft"]] - rigs[:, _RIG["mouthRight"]]
        else:
            found[:, k] = rigs[:, [_RIG[one] for one in names]].mean(1)
    return found


def rigs_of_strengths(strengths: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Rigs that look as strong on the cast.

    Args:
        strengths: ``(N, M)``.
        guess: rigs ``(N, 52)`` in [0, 1] for what viewers do not describe, and for which of two blendshapes is the
            stronger one.

    Returns:
        ``(N, 52)`` in [0, 1].
    """
    weights = np.where(_SIGNED, strengths / _SEEN, ((strengths - _REST) / _SEEN).clip(0)).clip(-1, 1)
    found = guess.copy()
    for k, name in enumerate(NAMES):
        own = weights[:, k]
        if name in _PAIRS:
            one, other = (_RIG[part] for part in _PAIRS[name])
            lean = (guess[:, one] - guess[:, other]) / (guess[:, one] + guess[:, other] + 0.15)
            found[:, one], found[:, other] = own * (1 + _LEANING * lean), own * (1 - _LEANING * lean)
        elif name == "eyeLookUp":
            for side in ("Left", "Right"):
                found[:, _RIG[f"eyeLookUp{side}"]], found[:, _RIG[f"eyeLookDown{side}"]] = own, -own
        elif name == "mouthLeft":
            for shape, share in (("mouthLeft", own), ("mouthRight", -own)):
                found[:, _RIG[shape]] = np.maximum(share, 0.5 * guess[:, _RIG[shape]])
        else:
            found[:, _RIG[name]] = own
    _follow(found, weights, guess)
    return (_SHARE * found.clip(0, 1) + (1 - _SHARE) * guess).astype(np.float32)


def _follow(found: np.ndarray, weights: np.ndarray, guess: np.ndarray) -> None:
    """Blendshapes that viewers do not tell from those they describe, in place."""
    squint, sneer = weights[:, _PLACE["eyeSquint"]], weights[:, _PLACE["noseSneer"]]
    for side in ("Left", "Right"):
        raised = np.maximum(weights[:, _PLACE[f"mouthSmile{side}"]], sneer)
        cheek = _RIG[f"cheekSquint{side}"]
        found[:, cheek] = 0.5 * guess[:, cheek] + 0.4 * squint * (0.4 + 0.6 * raised)
    shrug = _RIG["mouthShrugUpper"]
    found[:, shrug] = 0.5 * guess[:, shrug] + 0.25 * weights[:, _PLACE["mouthShrugLower"]]
    closed = _RIG["mouthClose"]
    found[:, closed] = np.minimum(guess[:, closed], 0.3 * weights[:, _PLACE["jawOpen"]])
    found[:, _RIG["cheekPuff"]] *= 0.3  # nobody saw a puffed cheek where it was guessed


def _sides(rigs: np.ndarray, name: str) -> np.ndarray:
    return rigs[:, [_RIG[f"{name}Left"], _RIG[f"{name}Right"]]]
