"""The targets of the base mesh: MakeHuman's, fitted to what ARKit's do on heads made for them."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from freeavatar.avatars.glb import vertex_normals
from freeavatar.avatars.meaning import reference_displacements, reference_landmarks
from tools.baking.brows import lid_rim
from tools.baking.eyes import Sphere
from tools.baking.fit import HOLD, SmoothField, close_lips, eased, fit_target, landmark_weights
from tools.baking.landmarks import LANDMARKS
from tools.baking.shape import HeadShape

if TYPE_CHECKING:
    from tools.baking.source import HeadSource

GAINS = {
    "browDown": 1.65, "browInnerUp": 2.05, "browOuterUp": 1.35, "cheekPuff": 1.15, "cheekSquint": 1.5, "eyeLookIn": 1.3,
    "eyeLookOut": 1.25, "eyeSquint": 1.7, "eyeWide": 1.75, "mouthDimple": 1.55, "mouthFrown": 1.55, "mouthFunnel": 1.2,
    "mouthLeft": 0.95, "mouthLowerDown": 1.6, "mouthPress": 1.9, "mouthPucker": 1.25, "mouthRight": 0.95,
    "mouthRollLower": 1.46, "mouthRollUpper": 1.25, "mouthShrugUpper": 1.36, "mouthSmile": 1.26, "mouthStretch": 1.3,
    "mouthUpperUp": 1.25, "noseSneer": 1.25, "tongueOut": 2.2,
}  # fmt: skip
"""How much stronger targets are made than the figures at the landmarks: features of this mesh peak between them, and
an expression is read at full strength only where it is a little stronger than life."""
KEPT = {"browDown": 0.65, "mouthRollLower": -0.25, "mouthSmile": 0.45}
"""How much of MakeHuman's own shape stays at the landmarks of contours, where it reads better: it lowers the inner
ends of the brows most, where the figures lower their middles. Below 0 goes the other way: its rolled lip goes up."""
CONTOURS = 68
"""Landmarks of contours (Multi-PIE's), before those on the skin between."""
_CORNERS, _NOSE = ("lip_outer_6", "lip_outer_0"), ("nose_bridge_3",)
MEETING = 0.1
"""Where lids meet, in heights of the opening above the lower one."""
STILL = 20.0
"""How much more strongly the rest of the face is held while lids close."""
OVERLAP = 0.04
"""How far the upper lid passes the lower one, in the same."""
SCALP = 1.2
"""Distances between the eyes above them from where the skin stays."""
LEAST = 0.004
"""What the figures leave out, taken off every displacement: the rest of the head stays still, and files stay small."""
CORNERLESS = 0.85
"""Share of the mouth's width whose lips are brought together: corners fold by themselves."""
CORNER = 0.16
"""Distances between the eyes about a corner of the mouth within which the skin follows what is around it."""
TOUCH = 0.06
"""Distances between the eyes within which the vertices of the lips touch."""


def of_target(table: Mapping[str, float], name: str, default: float) -> float:
    """The value of a target in a table by names with or without their side."""
    return table.get(name, table.get(name.removesuffix("Left").removesuffix("Right"), default))


class FaceSurface:
    """The skin of the base mesh as one surface, with the fields that fit its targets."""

    def __init__(self, source: "HeadSource") -> None:
        body = source.part("body")
        self.vertices = np.unique(body.vertices)
        """Indices into the base mesh, ``(S,)``; what follows counts in these."""
        triangles = np.searchsorted(self.vertices, body.vertices[body.triangles])
        self.triangles = triangles[(triangles != np.roll(triangles, 1, axis=1)).all(1)]
        self._source = source
        eyes = np.stack([source.eye(source.template, side)[0] for side in "lr"])
        self.unit = float(np.linalg.norm(eyes[0] - eyes[1]))
        """Distance between the eyes, metres."""
        self.points = (source.template[self.vertices] - eyes.mean(0)) / self.unit
        self.landmarks = np.searchsorted(self.vertices, [LANDMARKS[name] for name in reference_landmarks()])
        chin = self.points[self.landmarks[list(reference_landmarks()).index("jaw_8")], 1]
        is_far = (self.points[:, 1] < chin - 1.0) | (self.points[:, 1] > SCALP) | (self.points[:, 2] < -1.3)
        self.field = SmoothField(self.points, self.triangles, is_far)

    @cached_property
    def rims(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Vertices along the upper and along the lower lid, of the left and of the right eye."""
        source = self._source
        spheres = [source.eye(source.template, side) for side in "lr"]
        points = source.template[self.vertices]
        normals = vertex_normals(points, self.triangles, np.arange(len(points)))
        order = list(reference_landmarks())
        corners, nose = (points[self.landmarks[[order.index(n) for n in names]]] for names in (_CORNERS, _NOSE))
        head = HeadShape(
            points, normals, self.triangles, np.stack([c for c, _ in spheres]), spheres[0][1], corners, nose[0]
        )
        found = []
        for eye in range(2):
            rim = lid_rim(head, eye)
            ends = points[rim[[points[rim, 0].argmin(), points[rim, 0].argmax()]]]
            chord = np.interp(points[rim, 0], ends[:, 0], ends[:, 1])
            is_upper = points[rim, 1] > chord
            found.append((rim[is_upper], rim[~is_upper]))
        return tuple(found)

    def lip_pairs(self, jaw: np.ndarray) -> np.ndarray:
        """Vertices of the upper and the lower lip that touch at rest, ``(P, 2)``, by how ``jawOpen`` moves them."""
        lips = np.flatnonzero(self._source.painted("lips")[self.vertices] > 0.3)
        drop = np.linalg.norm(jaw[lips], axis=1) / np.linalg.norm(jaw, axis=1).max()
        upper, lower = lips[drop < 0.2], lips[drop > 0.4]
        apart = np.linalg.norm(self.points[upper][:, None] - self.points[lower], axis=2)
        nearest = apart.argmin(0)
        corner = abs(self.points[self.landmarks[list(reference_landmarks()).index(_CORNERS[0])], 0])
        touching = (apart.min(0) < TOUCH) & (np.abs(self.points[lower, 0]) < CORNERLESS * corner)
        return np.stack([upper[nearest[touching]], lower[touching]], axis=1)

    def mouth_corners(self, pairs: np.ndarray) -> np.ndarray:
        """Vertices about the corners of the mouth, where the lips ``pairs`` ``(P, 2)`` end, ``(S,)`` bool."""
        order = list(reference_landmarks())
        corners = self.points[self.landmarks[[order.index(name) for name in _CORNERS]]]
        near = np.linalg.norm(self.points[:, None] - corners, axis=2).min(1) < CORNER
        near &= np.abs(self.points[:, 0]) > CORNERLESS * np.abs(corners[:, 0]).min()
        near[pairs] = False
        return near


def fitted_targets(source: "HeadSource") -> np.ndarray:
    """The targets ``(K, V, 3)`` of the base mesh, metres, in the order of ``source.target_names``."""
    surface, targets = source.surface, source.own_targets.copy()
    through = surface.field.through(surface.landmarks, landmark_weights(list(reference_landmarks())))
    is_contour = np.arange(len(surface.landmarks)) < CONTOURS
    fitted: dict[str, np.ndarray] = {}
    for name, own in zip(source.target_names, source.own_targets, strict=True):
        there = own[surface.vertices] / surface.unit
        wanted = reference_displacements().get(name)
        if wanted is not None:
            share = of_target(KEPT, name, 0.0) * is_contour[:, None]
            wanted = (1 - share) * wanted + share * there[surface.landmarks]
        shape = there if wanted is None else fit_target(there, wanted, surface.landmarks, through)
        length = np.linalg.norm(shape, axis=1, keepdims=True)
        fitted[name] = of_target(GAINS, name, 1.0) * shape * np.clip(1 - LEAST / np.maximum(length, LEAST), 0, 1)
    pairs = surface.lip_pairs(fitted["jawOpen"])
    through = surface.field.through(pairs.T.ravel(), np.full(pairs.size, HOLD))
    closed = fitted["jawOpen"] + close_lips(fitted, pairs, through)
    fitted["mouthClose"] = eased(closed, surface.triangles, surface.mouth_corners(pairs)) - fitted["jawOpen"]
    for k, name in enumerate(source.target_names):
        targets[k, surface.vertices] = fitted[name] * surface.unit
    return targets


def close_lids(surface: FaceSurface, points: np.ndarray, blink: np.ndarray, eye: int, sphere: Sphere) -> np.ndarray:
    """A blink ``(S, 3)`` metres that closes the eye of this head.

    Args:
        surface: of the base mesh.
        points: its vertices on this head, ``(S, 3)`` metres.
        blink: what closes the eye on the base mesh, ``(S, 3)`` metres.
        eye: 0 left, 1 right.
        sphere: centre and radius of its eyeball.
    """
    upper, lower = surface.rims[eye]
    curves = [points[rim[np.argsort(points[rim, 0])]] for rim in (upper, lower)]
    rims = np.concatenate([upper, lower])
    x = points[rims, 0]
    high, low = (np.interp(x, curve[:, 0], curve[:, 1]) for curve in curves)
    overlap = np.concatenate([np.full(len(upper), OVERLAP), np.zeros(len(lower))])
    ends = points[rims].copy()
    ends[:, 1] = low + (MEETING - overlap) * (high - low)
    centre, _ = sphere
    reach = np.linalg.norm(points[rims] - centre, axis=1)
    flat = ((ends - centre)[:, :2] ** 2).sum(1)
    ends[:, 2] = centre[2] + np.sqrt(np.maximum(reach**2 - flat, (0.1 * reach) ** 2))
    names = list(reference_landmarks())
    others = surface.landmarks[[not name.startswith("eye_") for name in names]]
    through = surface.field.through(
        np.concatenate([rims, others]), np.repeat([HOLD, STILL * HOLD], [len(rims), len(others)])
    )
    missing = ends - points[rims] - blink[rims]
    return blink + through(np.concatenate([missing, np.zeros((len(others), 3))]))
