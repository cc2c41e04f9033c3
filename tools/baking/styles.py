"""The hair of the cast."""

from tools.baking.beard import BeardStyle
from tools.baking.hairstyle import HairStyle
from tools.baking.scalp import Hairline
from tools.baking.strands import Ribbon

STYLES: dict[str, HairStyle] = {
    "ines": HairStyle(
        color=(0.35, 0.22, 0.14), highlight=(0.58, 0.40, 0.25), seed=1,
        hairline=Hairline(temples=-8), locks=180, clumps=50, clumping=0.5,
        segments=13, ribbon=Ribbon(23.0, 0.16, root=0.6, belly=0.4, tip=0.15, points=3, roundness=0.55),
        lengths=(350, 340, 290, 220), part=((22, 92, 30), (8, 108, -95)), bias=(0, 0, -0.45), lift=(0.6, 0.35),
        volume=17, hug=0.45, weight=0.9, wave=22, wavelength=120, pull=(0, -1, -0.22), mess=0.06, cut=-150, uneven=14,
    ),
    "kofi": HairStyle(
        color=(0.08, 0.062, 0.055), highlight=(0.36, 0.28, 0.235), kind="afro", seed=2, hairline=Hairline(crisp=1.0),
        volume=8, wave=6.5, wavelength=11,
    ),
    "mei": HairStyle(
        color=(0.075, 0.062, 0.068), highlight=(0.25, 0.23, 0.255), seed=3,
        hairline=Hairline(temples=-8), locks=225, clumps=90, clumping=0.2,
        segments=10, ribbon=Ribbon(20.0, 0.16, root=0.6, belly=0.35, tip=0.22, points=3, roundness=0.5),
        lengths=(170, 300, 220, 160), lift=(0.35, 0.1), volume=14, hug=0.6, weight=0.9, mess=0.03, cut=-88,
        fringe=26, uneven=3, tuck=9, tips=0.05,
    ),
    "tomas": HairStyle(
        color=(0.50, 0.49, 0.48), highlight=(0.78, 0.77, 0.76), seed=4, hairline=Hairline(front=12, temples=22),
        locks=180, clumps=60, clumping=0.5, segments=6, ribbon=Ribbon(16.0, 0.2, points=3, roundness=0.6),
        lengths=(52, 50, 38, 30), part=((34, 88, 25), (14, 108, -95)), bias=(-0.2, 0, -0.8), lift=(0.3, 0.2), volume=7,
        hug=0.7, weight=0.3, mess=0.12,
    ),
    "amara": HairStyle(
        color=(0.50, 0.495, 0.49), highlight=(0.86, 0.855, 0.84), kind="afro", seed=5,
        hairline=Hairline(front=2, temples=-10, crisp=0.7), volume=50, wave=10, wavelength=17,
    ),
    "nuri": HairStyle(
        color=(0.20, 0.13, 0.09), highlight=(0.46, 0.31, 0.19), seed=6, locks=200, clumps=48, clumping=0.7,
        segments=8, ribbon=Ribbon(18.0, 0.26, points=4, roundness=0.6), lengths=(72, 74, 52, 40), swirl=0.7,
        lift=(0.45, 0.5), volume=15, hug=0.35, weight=0.35, wave=5, wavelength=60, mess=0.35, fringe=22, uneven=12,
    ),
    "ravi": HairStyle(
        color=(0.065, 0.052, 0.05), highlight=(0.19, 0.145, 0.125), seed=7,
        hairline=Hairline(front=2, sides=36, nape=70), locks=190, clumps=46, clumping=0.7, segments=8,
        ribbon=Ribbon(15.0, 0.28, points=4, roundness=0.6), lengths=(66, 52, 20, 18), part=((0, 40, 70), (0, 41, 70)),
        lift=(0.98, 0.5), volume=22, hug=0.25, weight=0.6, pull=(0.2, 0.1, -1.0), wave=3, wavelength=50, mess=0.2,
    ),
    "pip": HairStyle(
        color=(0.03, 0.42, 0.48), highlight=(0.50, 0.95, 0.82), seed=8, hairline=Hairline(sides=6, nape=18), locks=40,
        clumps=14, clumping=0.6, segments=12,
        ribbon=Ribbon(46.0, 0.36, root=0.75, belly=0.35, points=8, is_closed=True), lengths=(150, 160, 120, 90),
        part=((-30, 40, 70), (-31, 40, 70)), lift=(0.9, 0.6), volume=26, hug=0.2, pull=(0.6, 0.75, -0.6), weight=1.6,
        mess=0.06, sink=10, tips=0.8,
    ),
}  # fmt: skip
"""By the name of the avatar."""

BEARDS: dict[str, BeardStyle] = {
    "tomas": BeardStyle(
        color=(0.52, 0.51, 0.50), highlight=(0.74, 0.73, 0.72), chin=38, cheeks=25, moustache=19, volume=8,
        locks=98, ribbon=Ribbon(16.0, 0.22, root=0.75, points=3, roundness=0.6), seed=4,
    ),
}  # fmt: skip
"""By the name of the avatar."""
