"""Teeth and gums: two dental arches of rounded crowns, fitted to where MakeHuman's strips of teeth lie."""

from dataclasses import dataclass, replace

import numpy as np

from tools.baking.part import Finish, Part, joined, make_part

TEETH = Finish("mouth", 0.3, is_textured=False)
WIDTHS = {"upper": (8.6, 6.6, 7.6, 7.0, 6.8, 10.0, 9.5), "lower": (5.3, 5.9, 6.8, 7.0, 7.1, 11.0, 10.5)}
"""Mesiodistal widths of the crowns from the middle outwards (Wheeler's Dental Anatomy), only their ratios matter."""
COLUMNS = 5
"""Columns of vertices a crown."""
PROFILE = np.array(
    [  # share of the crown from the gum's edge to the cutting edge, millimetres outwards
        (-1.0, 0.1), (-0.30, 1.0), (-0.04, 1.2), (0.04, 0.6), (0.34, 1.0), (0.80, 0.6), (1.0, -0.2),
        (0.97, -1.3), (0.2, -3.0),
    ]
)  # fmt: skip
"""Rows of a crown: gum, crown, cutting edge, and the side of the tongue."""
GUM_ROWS = 3
DEEPEST = {"upper": -1.0, "lower": -0.62}
"""Where the gums begin, in the same shares."""
CROWN = {"upper": 0.0116, "lower": 0.0088}
"""Height of the middle crowns, metres."""
SHRINK = {"upper": 0.14, "lower": 0.28}
"""Share of that which the last molars lack."""


@dataclass(frozen=True)
class Smile:
    """Colours of teeth and gums, sRGB, and their shape."""

    enamel: tuple[float, float, float] = (0.96, 0.93, 0.87)
    gums: tuple[float, float, float] = (0.80, 0.46, 0.46)
    fangs: float = 0.0
    """Metres by which the canines are longer."""


@dataclass(frozen=True)
class Bite:
    """Where the teeth of a jaw stand, in metres."""

    edge: float
    """Height of the middle incisors' cutting edge above the line where the lips meet."""
    depth: float
    """How far their front lies before that line."""
    sides: float
    """How far the molars are moved forwards."""


INCISORS = 0.015
"""Distance from the middle, metres, over which a jaw's move at the incisors fades into that at its molars."""


def seat(strip: np.ndarray, is_upper: bool, seam: np.ndarray, bite: Bite) -> np.ndarray:
    """MakeHuman's strip of teeth ``(V, 3)``, moved to stand behind lips that meet at ``seam`` ``(3,)``."""
    depth, height = _arch(strip, is_upper)
    forwards = seam[2] + bite.depth - depth[0] - bite.sides
    moved = strip.copy()
    moved[:, 1] += seam[1] + bite.edge - height[0]
    moved[:, 2] += bite.sides + forwards * np.exp(-((strip[:, 0] / INCISORS) ** 2))
    return moved


def _arch(strip: np.ndarray, is_upper: bool) -> tuple[np.ndarray, np.ndarray]:
    """Polynomials in x squared: depth of the front of the strip, and height of its cutting edge."""
    x = np.abs(strip[:, 0])
    bins = np.digitize(x, np.linspace(0, x.max(), 9))
    rows = [strip[bins == b] for b in np.unique(bins)]
    at = np.array([np.abs(r[:, 0]).mean() for r in rows])
    front = np.array([r[:, 2].max() for r in rows])
    edge = np.array([r[:, 1].min() if is_upper else r[:, 1].max() for r in rows])
    basis = np.stack([at**0, at**2, at**4], axis=1)
    depth = np.linalg.lstsq(basis, front, rcond=None)[0]
    height = np.linalg.lstsq(basis[:, :2], edge, rcond=None)[0]
    return depth, np.append(height, 0.0)


def _columns(widths: tuple[float, ...], length: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place along the arch (metres from the middle), place within the crown in [-1, 1], number of the crown."""
    sizes = np.array(widths) / sum(widths) * length
    starts = np.concatenate([[0], np.cumsum(sizes)])
    within = np.linspace(-1, 1, COLUMNS)
    at = np.concatenate([starts[k] + (within + 1) / 2 * sizes[k] for k in range(len(sizes))])
    inner = np.tile(within, len(sizes))
    number = np.repeat(np.arange(len(sizes)), COLUMNS)
    return (
        np.concatenate([-at[::-1], at]),
        np.concatenate([-inner[::-1], inner]),
        np.concatenate([number[::-1], number]),
    )


def _jaw(strip: np.ndarray, targets: np.ndarray, jaw: str, smile: Smile) -> Part:
    """One arch with the affine part of what the targets do to ``strip`` ``(V, 3)``, ``(K, V, 3)``."""
    is_upper = jaw == "upper"
    depth, height = _arch(strip, is_upper)
    powers = lambda x: np.stack([x**0, x**2, x**4], axis=-1)  # noqa: E731
    x = np.linspace(0, np.abs(strip[:, 0]).max() * 0.97, 200)
    z = powers(x) @ depth
    arc = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
    place, within, number = _columns(WIDTHS[jaw], arc[-1])
    px = np.sign(place) * np.interp(np.abs(place), arc, x)
    pz = powers(px) @ depth
    slope = np.sign(px) * np.interp(np.abs(px), x, np.gradient(z, x))
    outward = np.stack([-slope, 0 * slope, 1 + 0 * slope], axis=1)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    down = -1.0 if is_upper else 1.0
    back = np.abs(place) / arc[-1]
    crown = CROWN[jaw] * (1 - SHRINK[jaw] * back) * np.where(number == 1, 0.94, 1.0) + smile.fangs * (number == 2)
    round_ = within**4
    rows, colors = [], []
    gums, enamel = (np.asarray(c) ** 2.2 for c in (smile.gums, smile.enamel))
    for row, (share, out) in enumerate(PROFILE):
        share = max(share, DEEPEST[jaw])
        papilla = 0.16 * round_ * (1 - min(abs(share), 1)) if share < 0.9 else 0.0
        tip = 0.035 * round_ * (share > 0.8)
        point = 0.16 * np.abs(within) * ((number == 2) & (share > 0.8))
        y = powers(px) @ height + down * crown * (share - 1 + papilla - tip - point)
        groove = 0.75 * round_ * (0.2 < share <= 1.0) + 0.3 * round_ * (share <= 0.2)
        rows.append(np.stack([px, y, pz], axis=1) + outward * ((out - groove) * 1e-3)[:, None])
        is_gum = row < GUM_ROWS or row == len(PROFILE) - 1
        shade = (1 - 0.30 * round_ * (not is_gum)) * (1 - 0.7 * back)
        colors.append(np.where(is_gum, gums, enamel)[None] * shade[:, None])
    positions = np.concatenate(rows)
    n = len(place)
    r, c = np.meshgrid(np.arange(len(PROFILE) - 1), np.arange(n - 1), indexing="ij")
    a = (r * n + c).ravel()
    triangles = np.concatenate([np.stack([a, a + n, a + n + 1], 1), np.stack([a, a + n + 1, a + 1], 1)])
    triangles = triangles if is_upper else triangles[:, ::-1]
    affine = np.linalg.lstsq(
        np.concatenate([strip, np.ones((len(strip), 1))], 1), targets.transpose(1, 0, 2).reshape(len(strip), -1),
        rcond=None,
    )[0]  # fmt: skip
    moved = np.concatenate([positions, np.ones((len(positions), 1))], 1) @ affine
    offsets = moved.reshape(len(positions), -1, 3).transpose(1, 0, 2)
    part = make_part("teeth", TEETH, positions, np.zeros((len(positions), 2)), triangles, offsets)
    return replace(part, colors=np.concatenate(colors))


def build_teeth(strips: dict[str, tuple[np.ndarray, np.ndarray]], smile: Smile) -> Part:
    """Both arches.

    Args:
        strips: per jaw ('upper', 'lower') positions ``(V, 3)`` of MakeHuman's teeth and what the targets do to
            them, ``(K, V, 3)``.
        smile: looks.
    """
    return joined([_jaw(*strips[jaw], jaw, smile) for jaw in ("upper", "lower")])
