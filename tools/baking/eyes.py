"""Eyeballs and the wet line along the lower lid."""

from dataclasses import replace

import numpy as np

from tools.baking import atlas
from tools.baking.lids import lid_places
from tools.baking.part import Finish, Part, joined, make_part
from tools.baking.shape import HeadShape

Sphere = tuple[np.ndarray, float]
"""Centre ``(3,)`` and radius, metres."""

EYE_RINGS = np.radians([0, 5, 9, 13, 18, 22, 26, 29, 32, 36, 42, 50, 60, 72, 86, 100])
"""Angles from the optical axis of an eyeball's rings of vertices."""
EYE_SEGMENTS = 28
TEAR_STEPS = 13
"""Points along the wet line."""

EYE_ROTATIONS = {"In": (0, 26), "Out": (0, 26), "Up": (-20, 0), "Down": (22, 0)}
"""Pitch and yaw of the eyeball, degrees, at full weight of each eyeLook shape."""
CORNER = 0.0028
"""Metres by which the wet strip is higher at the inner corner, which it fills."""
EYEBALL = Finish("eye", 0.05)
TEAR = Finish("eye", 0.04, is_textured=False)


def _rotation(pitch: float, yaw: float) -> np.ndarray:
    p, y = np.radians([pitch, yaw])
    rx = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    return ry @ rx


def _eyeball(names: tuple[str, ...], side: str, centre: np.ndarray, radius: float) -> Part:
    """A sphere cap facing +z with a cornea, rotated by the eyeLook targets."""
    angle, turn = np.meshgrid(EYE_RINGS, np.arange(EYE_SEGMENTS + 1) * 2 * np.pi / EYE_SEGMENTS, indexing="ij")
    bulge = 1 + 0.028 * np.clip(1 - (angle / np.radians(31)) ** 2, 0, None)
    local = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], axis=-1)
    local = local.reshape(-1, 3) * (radius * bulge.reshape(-1, 1))
    reach = (angle / EYE_RINGS[-1]).reshape(-1)
    disc = 0.5 + 0.5 * np.stack([reach * np.cos(turn).ravel(), -reach * np.sin(turn).ravel()], axis=-1)
    r, s = np.meshgrid(np.arange(len(EYE_RINGS) - 1), np.arange(EYE_SEGMENTS), indexing="ij")
    a = (r * (EYE_SEGMENTS + 1) + s).ravel()
    b = a + EYE_SEGMENTS + 1
    triangles = np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)])
    word, sign = {"l": ("Left", -1), "r": ("Right", 1)}[side]
    offsets = np.zeros((len(names), len(local), 3))
    for where, (pitch, yaw) in EYE_ROTATIONS.items():
        turned = _rotation(pitch, yaw * (sign if where == "In" else -sign))
        offsets[names.index(f"eyeLook{where}{word}")] = local @ turned.T - local
    merge = np.unique(local.round(7), axis=0, return_inverse=True)[1].ravel()
    return make_part("eyes", EYEBALL, centre + local, atlas.place("eye", disc), triangles, offsets, merge)


def _tear_line(skin: Part, head: HeadShape, eye: int, radius: float) -> Part:
    """A narrow wet strip between the lower lid and the eyeball, wider at the inner corner; it moves with the lid."""
    at = np.linspace(0.0, 0.94, TEAR_STEPS)
    lid, carrier = lid_places(head, eye, is_upper=False, at=at)
    d = lid - head.eyes[eye]
    outward = d / np.linalg.norm(d, axis=1, keepdims=True)
    corner = np.exp(-((at / 0.11) ** 2))[:, None]
    taper = np.sin(np.pi * np.clip(at, 0.08, 0.92))[:, None] * head.size
    up = np.array([0.0, 1.0, 0.0])
    rows = [
        lid + outward * (0.0001 - 0.0010 * corner) - up * (0.0002 + 0.0022 * corner),
        lid + outward * (-0.0004 * corner) + np.array([0, 0.0004, 0.0001]) * taper,
        head.eyes[eye] + outward * radius * (1.01 + 0.03 * corner) + up * (0.0006 * taper + CORNER * corner),
    ]
    n = TEAR_STEPS
    k = np.concatenate([np.arange(n - 1), np.arange(n - 1) + n])
    triangles = np.concatenate([np.stack([k, k + 1, k + 1 + n], 1), np.stack([k, k + 1 + n, k + n], 1)])
    part = make_part(
        "tears", TEAR, np.concatenate(rows), np.zeros((3 * n, 2)), triangles if eye == 0 else triangles[:, ::-1],
        np.tile(skin.offsets[:, carrier], (1, 3, 1)),
    )  # fmt: skip
    return replace(part, colors=np.tile((0.40, 0.19, 0.16), (3 * n, 1)))


def build_eyes(names: tuple[str, ...], skin: Part, head: HeadShape, eyes: dict[str, Sphere]) -> list[Part]:
    """Eyeballs and tear lines.

    Args:
        names: the targets, ARKit's among them.
        skin: with offsets for ``names``.
        head: the same skin as a shape.
        eyes: centre ``(3,)`` and radius of each eyeball, by side ('l', 'r').
    """
    balls = joined([_eyeball(names, side, *eyes[side]) for side in "lr"])
    tears = joined([_tear_line(skin, head, eye, eyes[side][1]) for eye, side in enumerate("lr")])
    return [balls, tears]
