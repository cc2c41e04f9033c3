"""How hair is cut, combed and coloured."""

from dataclasses import dataclass, field
from typing import Literal

from tools.baking.scalp import Hairline
from tools.baking.strands import Color, Ribbon

Point = tuple[float, float, float]


@dataclass(frozen=True)
class HairStyle:
    """How hair is cut and combed. Lengths in model millimetres, colours sRGB, amounts in [0, 1]."""

    color: Color
    highlight: Color
    kind: Literal["locks", "afro"] = "locks"
    seed: int = 0
    hairline: Hairline = field(default_factory=Hairline)
    locks: int = 200
    baby_hairs: int = 110
    """Fine hairs that soften the hairline."""
    clumps: int = 50
    """Locks gather towards this many."""
    clumping: float = 0.6
    segments: int = 9
    ribbon: Ribbon = field(default_factory=lambda: Ribbon(16.0))
    lengths: tuple[float, float, float, float] = (60.0, 60.0, 60.0, 60.0)
    """At the forehead, on top, at the sides, at the nape."""
    part: tuple[Point, Point] = ((0.0, 108.0, -95.0), (0.0, 108.0, -96.0))
    """Hair is combed away from this line; a point is a crown."""
    bias: Point = (0.0, 0.0, 0.0)
    """Added to the combing direction: backwards, to a side."""
    swirl: float = 0.0
    """Turns the combing about the crown."""
    lift: tuple[float, float] = (0.3, 0.3)
    """How steeply hair leaves the scalp, at the forehead and elsewhere."""
    volume: float = 10.0
    """Height of the uppermost layer above the skin."""
    hug: float = 0.5
    """How closely hair keeps to its layer."""
    pull: Point = (0.0, -1.0, 0.0)
    """Gravity, or where a style is swept."""
    weight: float = 1.0
    """How soon hair gives in to the pull."""
    wave: float = 0.0
    """Amplitude at the tips."""
    wavelength: float = 70.0
    mess: float = 0.1
    cut: float | None = None
    """Height at which hair ends at the sides and the back."""
    fringe: float | None = None
    """Height at which it ends over the face; None keeps the face free."""
    uneven: float = 8.0
    """How much the cut wanders."""
    tuck: float = 0.0
    """How far tips turn in."""
    sink: float = 1.0
    """How far below the skin locks begin."""
    tips: float = 0.2
    """How much of the highlight tips take on."""
