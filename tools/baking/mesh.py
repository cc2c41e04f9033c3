"""A head as the parts of one glTF mesh: positions, normals, texture coordinates, ARKit offsets."""

from dataclasses import dataclass, replace

import numpy as np

from freeavatar.avatars.glb import vertex_normals
from tools.baking import atlas
from tools.baking.occlusion import ambient_occlusion
from tools.baking.source import BUST_RADIUS, EYE_ROTATIONS, HeadSource, Identity

EYE_RINGS = np.radians([0, 7, 13, 18, 22, 26, 29, 32, 36, 42, 50, 60, 72, 86, 100])
"""Angles from the optical axis of an eyeball's rings of vertices."""
EYE_SEGMENTS = 24
LASH_LENGTHS = {"eyelashes-1": 0.14, "eyelashes-2": 0.36}
"""MakeHuman's lash strips (lower, upper) are made for a texture with alpha; ours are solid and shorter."""
TEETH_BACK = 0.004
"""Metres the teeth are moved back, so that none show between lips that rest."""
OCCLUSION_FLOOR = 0.30
"""Share of light that reaches the deepest crease."""
TARGET_GAIN = {"tongueOut": 1.5}
"""Targets made stronger than MakeHuman has them."""
LID_CLEARANCE = 1.035
"""Skin in front of an eyeball keeps this many radii from its centre."""


@dataclass(frozen=True)
class Part:
    """One primitive: its own vertices, one material."""

    name: str
    positions: np.ndarray
    """``(V, 3)`` metres."""
    uv: np.ndarray
    """``(V, 2)`` in the atlas, glTF's origin (upper left)."""
    triangles: np.ndarray
    """``(T, 3)``."""
    offsets: np.ndarray
    """Displacement of each target at full weight, ``(K, V, 3)`` metres."""
    normals: np.ndarray
    """Unit, ``(V, 3)``."""
    normal_offsets: np.ndarray
    """``(K, V, 3)``."""
    shade: np.ndarray
    """Vertex colour, grey, ``(V,)`` in [0, 1]: ambient occlusion."""


def _part(name, positions, uv, triangles, offsets, merge) -> Part:
    normals = vertex_normals(positions, triangles, merge)
    moved = np.abs(offsets).max((1, 2)) > 1e-6
    normal_offsets = np.zeros_like(offsets)
    for k in np.flatnonzero(moved):
        normal_offsets[k] = vertex_normals(positions + offsets[k], triangles, merge) - normals
    return Part(name, positions, uv, triangles, offsets, normals, normal_offsets, np.ones(len(positions)))


def _push_out(points: np.ndarray, eyes: list[tuple[np.ndarray, float]]) -> np.ndarray:
    """Move points off the front of the eyeballs, so that no eyeball shows through a lid."""
    out = points.copy()
    for centre, radius in eyes:
        d = out - centre
        distance = np.linalg.norm(d, axis=-1, keepdims=True)
        inside = (distance < radius * LID_CLEARANCE) & (d[..., 2:] > 0.25 * radius)
        out = np.where(inside, centre + d / np.maximum(distance, 1e-9) * radius * LID_CLEARANCE, out)
    return out


def _trim_lashes(source: HeadSource, body: np.ndarray, positions: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Draw the tips of the lashes towards the lids."""
    skin = body[source.part("body").vertices]
    roots = skin[np.linalg.norm(positions[:, None] - skin, axis=2).argmin(1)]
    length = np.zeros(len(vertices))
    for name, value in LASH_LENGTHS.items():
        group = np.concatenate([source.groups[f"helper-{side}-{name}"] for side in "lr"])
        length[np.isin(vertices, group)] = value
    return roots + length[:, None] * (positions - roots)


def _round_bust(positions: np.ndarray, triangles: np.ndarray, merge: np.ndarray, neck: np.ndarray) -> np.ndarray:
    """Pull the open border below the neck onto one sphere, so that the bust ends in a clean line."""
    edges = np.sort(merge[triangles[:, [0, 1, 1, 2, 2, 0]]].reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    border = np.isin(merge, unique[count == 1]) & (positions[:, 1] < neck[1])
    d = positions - neck
    on_sphere = neck + d * (BUST_RADIUS / np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-9))
    return np.where(border[:, None], on_sphere, positions)


def _rotation(pitch: float, yaw: float) -> np.ndarray:
    p, y = np.radians([pitch, yaw])
    rx = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    return ry @ rx


def _eyeball(names: tuple[str, ...], side: str, centre: np.ndarray, radius: float) -> Part:
    """A sphere cap facing +z with a slight cornea, rotated by the eyeLook targets."""
    angle, turn = np.meshgrid(EYE_RINGS, np.arange(EYE_SEGMENTS + 1) * 2 * np.pi / EYE_SEGMENTS, indexing="ij")
    bulge = 1 + 0.05 * np.clip(1 - (angle / np.radians(30)) ** 2, 0, None)
    local = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], axis=-1).reshape(
        -1, 3
    ) * (radius * bulge.reshape(-1, 1))
    reach = (angle / EYE_RINGS[-1]).reshape(-1)
    disc = 0.5 + 0.5 * np.stack([reach * np.cos(turn).ravel(), -reach * np.sin(turn).ravel()], axis=-1)
    r, s = np.meshgrid(np.arange(len(EYE_RINGS) - 1), np.arange(EYE_SEGMENTS), indexing="ij")
    a = (r * (EYE_SEGMENTS + 1) + s).ravel()
    b = a + EYE_SEGMENTS + 1
    triangles = np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)]).astype(np.int32)
    word = {"l": "Left", "r": "Right"}[side]
    sign = {"l": -1, "r": 1}[side]
    offsets = np.zeros((len(names), len(local), 3))
    for where, (pitch, yaw) in EYE_ROTATIONS.items():
        turned = _rotation(pitch, yaw * (sign if where == "In" else -sign))
        offsets[names.index(f"eyeLook{where}{word}")] = local @ turned.T - local
    merge = np.unique(local.round(7), axis=0, return_inverse=True)[1].ravel()
    return _part("eyes", centre + local, atlas.place("eye", disc), triangles, offsets, merge)


def _joined(name: str, parts: list[Part]) -> Part:
    shift = np.cumsum([0] + [len(p.positions) for p in parts[:-1]])
    return Part(
        name,
        np.concatenate([p.positions for p in parts]),
        np.concatenate([p.uv for p in parts]),
        np.concatenate([p.triangles + s for p, s in zip(parts, shift, strict=True)]),
        np.concatenate([p.offsets for p in parts], axis=1),
        np.concatenate([p.normals for p in parts]),
        np.concatenate([p.normal_offsets for p in parts], axis=1),
        np.concatenate([p.shade for p in parts]),
    )


def build_head(source: HeadSource, identity: Identity) -> tuple[list[Part], np.ndarray, np.ndarray]:
    """Build the parts of a head.

    Returns:
        The parts; the pivot of the head joint ``(3,)``; the five landmarks of the neutral face
        ``(5, 3)``: right eye, left eye, nose tip, right and left mouth corner.
    """
    body = source.vertices(identity)
    scale = _face_scale(source, body)
    eyes = {side: source.eye(body, side) for side in "lr"}
    gain = np.array([TARGET_GAIN.get(name, 1.0) for name in source.target_names])[:, None, None]
    parts = []
    for name, groups in atlas.PARTS.items():
        topology = source.part(*groups)
        positions = body[topology.vertices]
        offsets = source.targets[:, topology.vertices] * scale * gain
        if name == "lashes":
            positions = _trim_lashes(source, body, positions, topology.vertices)
        if name == "teeth":
            positions = positions - [0, 0, TEETH_BACK]
        if name == "skin":
            positions = _round_bust(positions, topology.triangles, topology.vertices, source.joint(body, "neck"))
            positions = _push_out(positions, list(eyes.values()))
            offsets = _push_out(positions + offsets, list(eyes.values())) - positions
            offsets[np.abs(source.targets[:, topology.vertices]).max(-1) < 1e-7] = 0
        parts.append(
            _part(name, positions, atlas.place_part(name, topology.uv), topology.triangles, offsets, topology.vertices)
        )
    parts.append(_joined("eyes", [_eyeball(source.target_names, s, *eyes[s]) for s in "lr"]))
    pivot = source.joint(body, "head")
    return _occluded(parts, source.target_names), pivot, _landmarks(source, body, eyes)


def _occluded(parts: list[Part], names: tuple[str, ...]) -> list[Part]:
    """The parts with ambient occlusion: of the neutral face or, inside the mouth, of an open one."""
    whole = _joined("head", parts)
    opened = whole.positions + 0.7 * whole.offsets[names.index("jawOpen")]
    light = np.maximum(
        *(ambient_occlusion(points, whole.normals, whole.triangles) for points in (whole.positions, opened))
    )
    shade = OCCLUSION_FLOOR + (1 - OCCLUSION_FLOOR) * np.clip(light * 1.25, 0, 1)
    spans = np.split(shade, np.cumsum([len(p.positions) for p in parts])[:-1])
    return [replace(p, shade=np.ones(len(s)) if p.name == "lashes" else s) for p, s in zip(parts, spans, strict=True)]


def _face_scale(source: HeadSource, body: np.ndarray) -> float:
    """Size of the face against the template's: distance between the eyes and from eyes to mouth."""

    def size(v: np.ndarray) -> float:
        left, right, mouth = source.joint(v, "l-eye"), source.joint(v, "r-eye"), _corners(source, v).mean(0)
        return float(np.linalg.norm(left - right) + np.linalg.norm((left + right) / 2 - mouth))

    return size(body) / size(source.template)


def _corners(source: HeadSource, body: np.ndarray) -> np.ndarray:
    """Mouth corners, ``(2, 3)``, right then left: where the stretch targets pull hardest."""
    skin = source.part("body").vertices
    found = []
    for side in ("Right", "Left"):
        pull = np.linalg.norm(source.targets[source.target_names.index(f"mouthDimple{side}")][skin], axis=1)
        found.append(skin[np.argmax(pull)])
    return body[found]


def _landmarks(source: HeadSource, body: np.ndarray, eyes: dict) -> np.ndarray:
    skin = source.part("body").vertices
    near = skin[np.abs(source.template[skin, 0]) < 0.004]
    nose = near[np.argmax(source.template[near, 2])]
    front = [eyes[s][0] + [0, 0, eyes[s][1]] for s in "rl"]
    return np.concatenate([front, [body[nose]], _corners(source, body)])
