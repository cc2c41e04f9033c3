"""Shapes that mend what a plain sum of targets breaks."""

from collections.abc import Mapping

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import factorized

from freeavatar.avatars.glb import vertex_normals
from tools.baking.eyes import Sphere

PAIRS = (
    ("jawOpen", "mouthSmileLeft"), ("jawOpen", "mouthSmileRight"), ("jawOpen", "mouthPucker"),
    ("jawOpen", "mouthFunnel"), ("eyeBlinkLeft", "eyeLookDownLeft"), ("eyeBlinkRight", "eyeLookDownRight"),
    ("eyeBlinkLeft", "eyeSquintLeft"), ("eyeBlinkRight", "eyeSquintRight"), ("eyeBlinkLeft", "cheekSquintLeft"),
    ("eyeBlinkRight", "cheekSquintRight"),
    ("eyeBlinkLeft", "!eyeBlinkLeft"), ("eyeBlinkRight", "!eyeBlinkRight"),
    ("eyeSquintLeft", "noseSneerLeft"), ("eyeSquintRight", "noseSneerRight"),
    ("eyeSquintLeft", "cheekSquintLeft"), ("eyeSquintRight", "cheekSquintRight"),
    ("noseSneerLeft", "mouthUpperUpLeft"), ("noseSneerRight", "mouthUpperUpRight"), ("cheekPuff", "mouthPucker"),
    ("mouthSmileLeft", "cheekSquintLeft"), ("mouthSmileRight", "cheekSquintRight"), ("browDownLeft", "browDownRight"),
    ("browInnerUp", "browOuterUpLeft"), ("browInnerUp", "browOuterUpRight"),
    ("mouthRollLower", "mouthPressLeft"), ("mouthRollLower", "mouthPressRight"),
    ("browDownLeft", "noseSneerLeft"), ("browDownRight", "noseSneerRight"),
)  # fmt: skip
SHARED = {"noseSneerLeft": 0.6, "noseSneerRight": 0.6, "cheekPuff": 1.0, "browInnerUp": 1.0, "mouthRollLower": 0.8}
"""How much is taken back of what these and their partners both do to the skin."""
BULGES: dict[tuple[str, str], tuple[str, float, float]] = {
    ("mouthSmileLeft", "cheekSquintLeft"): ("cheek_apple_left", 0.30, 0.055),
    ("mouthSmileRight", "cheekSquintRight"): ("cheek_apple_right", 0.30, 0.055),
    ("browDownLeft", "browDownRight"): ("glabella", 0.14, 0.030),
    ("browDownLeft", "noseSneerLeft"): ("nose_bridge_0", 0.13, 0.015),
    ("browDownRight", "noseSneerRight"): ("nose_bridge_0", 0.13, 0.015),
}
"""Where skin that two targets push together bunches up: about which landmark, how far, how high (distances between
the eyes)."""
CORRECTIVES: dict[str, tuple[str, str]] = {
    f"fix_{one}_{'half' if other[0] == '!' else other}": (one, other) for one, other in PAIRS
}
"""Names of the shapes, and the two weights whose product each one follows; ``!`` is what a weight lacks to 1."""
CLOSED = 0.0012
"""Metres a lid travels before nothing else may move it further."""
HOLD = 0.02
"""How strongly a composed shape is held to the plain sum."""


def _frames(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Two edges and a normal of each triangle as columns, ``(T, 3, 3)`` (Sumner and Popovic 2004)."""
    a, b, c = points[triangles].transpose(1, 0, 2)
    u, v = b - a, c - a
    normal = np.cross(u, v)
    normal /= np.sqrt(np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-14))
    return np.stack([u, v, normal], axis=2)


def _composed(points: np.ndarray, one: np.ndarray, other: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Shape ``(V, 3)`` that bends as ``other`` does and is then carried along by ``one``.

    Its triangles' gradients are the products of those of both shapes, in the sense of least squares; vertices
    that ``other`` leaves alone stay where ``one`` puts them.
    """
    rest = np.linalg.pinv(_frames(points, triangles))
    first = _frames(points + one, triangles) @ rest
    second = _frames(points + other, triangles) @ rest
    product = first @ second
    start, end = triangles[:, [0, 1, 2]].ravel(), triangles[:, [1, 2, 0]].ravel()
    edges = np.einsum("tij,tej->tei", product, (points[end] - points[start]).reshape(-1, 3, 3)).reshape(-1, 3)
    count, rows = len(points), np.arange(len(start))
    ones = np.ones(len(start))
    gradient = coo_matrix(
        (np.concatenate([ones, -ones]), (np.concatenate([rows, rows]), np.concatenate([end, start]))),
        (len(rows), count),
    ).tocsr()
    hold = np.where(np.linalg.norm(other, axis=1) < 2e-5, 1e3, HOLD)
    solve = factorized((gradient.T @ gradient + diags(hold)).tocsc())
    right = gradient.T @ edges + hold[:, None] * (points + one + other)
    return np.stack([solve(right[:, k]) for k in range(3)], axis=1)


def _off_eyes(points: np.ndarray, eyes: list[Sphere], clearance: float) -> np.ndarray:
    """What moves points off the front of the eyeballs, ``(V, 3)``."""
    push = np.zeros_like(points)
    for centre, radius in eyes:
        d = points - centre
        distance = np.linalg.norm(d, axis=1, keepdims=True)
        inside = (distance < radius * clearance) & (d[:, 2:] > 0.25 * radius)
        push += np.where(inside, d / np.maximum(distance, 1e-9) * (radius * clearance - distance), 0)
    return push


def _common(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The part of two displacements ``(V, 3)`` that goes the same way, once: along each, the lesser of both."""
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (one, other)]
    ways = [x / np.maximum(length, 1e-9) for x, length in zip((one, other), lengths, strict=True)]
    along = np.clip((ways[0] * ways[1]).sum(1, keepdims=True), 0, 1)
    middle = ways[0] + ways[1]
    middle /= np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-9)
    return along * np.minimum(*lengths) * middle


def _bulge(points: np.ndarray, normals: np.ndarray, centre: np.ndarray, reach: float, height: float) -> np.ndarray:
    """Offsets ``(V, 3)`` along the normals: ``height`` at ``centre`` ``(3,)``, nothing beyond ``reach``."""
    near = np.clip(1 - (np.linalg.norm(points - centre, axis=1) / reach) ** 2, 0, 1)
    return height * (near**2)[:, None] * normals


def corrective_offsets(
    names: tuple[str, ...], positions: np.ndarray, offsets: np.ndarray, triangles: np.ndarray, merge: np.ndarray,
    eyes: list[Sphere], clearance: float, landmarks: Mapping[str, np.ndarray],
) -> np.ndarray:  # fmt: skip
    """Displacements of the correctives on the skin, ``(C, V, 3)`` metres.

    With an open jaw the other shape is carried along by the surface; on a closed lid what would move it
    further is taken back; a lid on its way, or pushed from two sides, is lifted over the eyeball; what two targets
    both do is done once;
    skin that they push together bunches up.

    Args:
        names: of the targets, ``K``.
        positions: ``(V, 3)``.
        offsets: ``(K, V, 3)``.
        triangles: ``(T, 3)``.
        merge: vertices with one value are one point, ``(V,)``.
        eyes: centre and radius of each eyeball.
        clearance: radii that a lid keeps from the centre of an eyeball.
        landmarks: of the reference, by name, ``(3,)`` each.
    """
    _, first, group = np.unique(merge, return_index=True, return_inverse=True)
    points, faces = positions[first], group.ravel()[triangles]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(1)]
    normals = vertex_normals(points, faces, np.arange(len(points)))
    unit = float(np.linalg.norm(eyes[0][0] - eyes[1][0]))
    found = []
    for one_name, other_name in CORRECTIVES.values():
        one = offsets[names.index(one_name)][first]
        if bulge := BULGES.get((one_name, other_name)):
            name, reach, height = bulge
            fix = _bulge(points, normals, landmarks[name], reach * unit, height * unit)
        elif one_name in SHARED:
            fix = -SHARED[one_name] * _common(one, offsets[names.index(other_name)][first])
        elif other_name.startswith("!"):
            fix = 4 * _off_eyes(points + one / 2, eyes, clearance) * (np.linalg.norm(one, axis=1) > 1e-5)[:, None]
        elif one_name.startswith("eyeSquint"):
            other = offsets[names.index(other_name)][first]
            moves = (np.linalg.norm(one, axis=1) > 1e-5) & (np.linalg.norm(other, axis=1) > 1e-5)
            fix = _off_eyes(points + one + other, eyes, clearance) * moves[:, None]
        elif one_name == "jawOpen":
            other = offsets[names.index(other_name)][first]
            fix = _composed(points, one, other, faces) - (points + one + other)
        elif other_name.startswith("eyeLookDown"):
            fix = -offsets[names.index(other_name)][first]
        else:
            other = offsets[names.index(other_name)][first]
            fix = -other * np.clip(np.linalg.norm(one, axis=1) / CLOSED, 0, 1)[:, None]
        found.append(fix[group.ravel()])
    return np.stack(found)
