"""A head as the parts of one glTF mesh, with its rig."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from tools.baking import atlas
from tools.baking.clothes import cut_bust
from tools.baking.correctives import CORRECTIVES, corrective_offsets
from tools.baking.eyes import Sphere, build_eyes
from tools.baking.growth import grow
from tools.baking.horns import grow_horns
from tools.baking.landmarks import LANDMARKS, MOUTH_CORNERS
from tools.baking.occlusion import ambient_occlusion
from tools.baking.part import Finish, Part, joined, make_part, split
from tools.baking.recipes import Recipe
from tools.baking.rigs import arkit_rig
from tools.baking.shape import HeadShape
from tools.baking.source import HeadSource
from tools.baking.targets import close_lids
from tools.baking.teeth import Bite, Smile, build_teeth, seat
from tools.baking.warp import Warp, draw_out_ears, make_warp

BITES = {"upper": Bite(-0.0042, -0.0045, -0.0030), "lower": Bite(-0.0015, -0.0075, -0.0045)}
"""Where the teeth stand: right behind the lips, hidden while these rest, seen as soon as they part."""
TONGUE_REST = (0.0, -0.0045, -0.0040)
"""Metres by which the tongue is moved at rest, to lie behind the lower teeth."""
TONGUE_SIZE = (0.86, 0.5)
"""Width and height of the tongue at rest, on the floor of the mouth, by MakeHuman's."""
ROUNDED = (0.0, 0.0022, -0.003)
"""Metres by which mouthFunnel takes the upper teeth out of sight, and the lower ones the other way: round lips reach
forward and hide them."""
SIDEWAYS = (1.0, 0.0, 0.0)
"""What is kept of how the teeth move with the jaw aside: forwards they would come through the chin."""
OCCLUSION_FLOOR = {"teeth": 0.85, "mouth": 0.45, "tongue": 0.55, "hair": 0.40, "beard": 0.65}
"""Share of light that reaches the deepest crease of a part; 0.3 of the others."""
MOUTH_BEHIND = 0.0012
"""Metres by which the inside of the mouth stays behind the skin before it."""
SOCKET = 1.7
"""Radii from the centre of an eyeball to the end of its socket."""
LEAST_CORRECTIVE = 5e-4
"""Metres: a corrective that moves nothing as far as this is left out of the file."""
LID_CLEARANCE = 1.035
"""Skin in front of an eyeball keeps this many radii from its centre."""
EAR_SHAPES = {"earsUp": (-24.0, 10.0), "earsBack": (18.0, -28.0)}
"""Extra shapes of long ears: degrees they roll upwards and turn forwards about their roots."""
FINISHES = {"skin": Finish("skin", 0.54), "mouth": Finish("mouth", 0.9), "tongue": Finish("mouth", 0.8)}


@dataclass(frozen=True)
class Head:
    """What is written to a GLB."""

    parts: list[Part]
    controls: tuple[str, ...]
    correctives: Mapping[str, tuple[str, ...]]
    """Names of the shapes after the controls, with the controls whose product they follow."""
    drivers: Mapping[str, Mapping[str, float]]
    pivot: np.ndarray
    """Head joint, ``(3,)``."""
    landmarks: np.ndarray
    """Right eye, left eye, nose tip, right and left mouth corner, ``(5, 3)``."""
    reference_landmarks: np.ndarray
    """Those of :data:`tools.baking.landmarks.LANDMARKS`, ``(89, 3)``."""
    shape: HeadShape
    """The whole skin, before it is cut."""
    uv: np.ndarray
    """Of the vertices of :attr:`shape` in the atlas, ``(V, 2)``."""


def build_head(source: HeadSource, recipe: Recipe) -> Head:
    """Build the head of a recipe."""
    body = source.vertices(recipe.identity)
    scale = _face_scale(source, body)
    warp = _warp_of(source, body, recipe)
    ears = draw_out_ears(body, source.ears, recipe.style)
    shaped = warp(body + ears)
    eyes = {side: source.eye(shaped, side) for side in "lr"}
    names = (*source.target_names, *EAR_SHAPES)
    targets = np.concatenate([source.targets * scale, _ear_targets(source, body + ears)])
    parts = {"teeth": _warped(_teeth(source, body, targets, recipe.smile), warp)}
    for name, groups in atlas.PARTS.items():
        topology = source.part(*groups)
        chosen = topology.vertices
        rest = (body + ears)[chosen]
        positions = warp(rest)
        offsets = warp(rest + targets[:, chosen]) - positions
        if name == "skin":
            positions = _push_out(positions, list(eyes.values()))
            offsets = _blinking(source, names, chosen, warp(body + ears), offsets, eyes)
            moved = np.abs(offsets).max(-1, keepdims=True) > 1e-7
            offsets = np.where(moved, _push_out(positions + offsets, list(eyes.values())) - positions, 0)
        if name == "tongue":
            rested = _rested_tongue(positions, scale)
            offsets[names.index("tongueOut")] += positions - rested
            positions = rested
        uv = atlas.place_part(name, topology.uv)
        parts[name] = make_part(name, FINISHES[name], positions, uv, topology.triangles, offsets, chosen)
    parts["tongue"] = replace(parts["tongue"], colors=_darker_behind(parts["tongue"].positions))
    skin = parts.pop("skin")
    neck = warp(source.joint(body, "neck"))
    centres = np.stack([eyes[side][0] for side in "lr"])
    head = HeadShape(
        skin.positions, skin.normals, skin.triangles, centres, eyes["l"][1],
        _corners(shaped)[::-1], _nose(source, shaped),
    )  # fmt: skip
    uv = skin.uv
    landmarks = _push_out(shaped, list(eyes.values()))[list(LANDMARKS.values())]
    names, skin, others = _completed(names, skin, [*parts.values()], recipe, head, eyes, landmarks)
    if recipe.horns is not None:
        others.append(grow_horns(skin, centres, recipe.horns, scale=scale, targets=len(names)))
    skin, shirt = cut_bust(skin, neck, scale, recipe.shirt)
    skin, mouth = split(skin, atlas.is_in("mouth", skin.uv), "mouth", FINISHES["mouth"])
    skin, _ = split(skin, _in_sockets(skin, eyes), "sockets", FINISHES["skin"])
    everything = _occluded([skin, _kept_behind(mouth, skin), *others, shirt], names)
    rig = recipe.rig or arkit_rig(source.target_names)
    parts, controls = rig.apply(everything, names), tuple(rig.controls or ())
    reach = np.max([np.abs(part.offsets).max((1, 2)) for part in parts], axis=0)
    kept = {name: inputs for k, (name, (inputs, _)) in enumerate(rig.correctives.items(), len(controls))
            if reach[k] > LEAST_CORRECTIVE}  # fmt: skip
    rows = [k for k, name in enumerate([*controls, *rig.correctives]) if name in controls or name in kept]
    return Head(
        parts=[replace(part, offsets=part.offsets[rows]) for part in parts],
        controls=controls,
        correctives=kept,
        drivers=rig.drivers,
        pivot=warp(source.joint(body, "head")),
        landmarks=_landmarks(source, shaped, eyes),
        reference_landmarks=landmarks,
        shape=head,
        uv=uv,
    )


def _completed(
    names: tuple[str, ...], skin: Part, others: list[Part], recipe: Recipe, head: HeadShape, eyes: dict[str, Sphere],
    landmarks: np.ndarray,
) -> tuple[tuple[str, ...], Part, list[Part]]:  # fmt: skip
    """Append the correctives to the shapes, and add the parts that are bound to the skin."""
    fixes = corrective_offsets(
        names,
        skin.positions,
        skin.offsets,
        skin.triangles,
        skin.merge,
        list(eyes.values()),
        LID_CLEARANCE,
        dict(zip(LANDMARKS, landmarks, strict=True)),
    )
    names = (*names, *CORRECTIVES)
    skin = replace(skin, offsets=np.concatenate([skin.offsets, fixes]))
    blank = [np.zeros((len(fixes), *part.positions.shape)) for part in others]
    others = [
        replace(part, offsets=np.concatenate([part.offsets, zeros])) for part, zeros in zip(others, blank, strict=True)
    ]
    return names, skin, [*others, *build_eyes(names, skin, head, eyes), *grow(head, recipe, skin, eyes)]


def _blinking(
    source: HeadSource, names: tuple[str, ...], chosen: np.ndarray, shaped: np.ndarray, offsets: np.ndarray,
    eyes: dict[str, Sphere],
) -> np.ndarray:  # fmt: skip
    """Offsets ``(K, V, 3)`` of the skin, whose blinks close the eyes of this head."""
    surface, offsets = source.surface, offsets.copy()
    first = np.searchsorted(chosen, surface.vertices)
    back = np.searchsorted(surface.vertices, chosen)
    for eye, (side, word) in enumerate(zip("lr", ("Left", "Right"), strict=True)):
        k = names.index(f"eyeBlink{word}")
        blink = close_lids(surface, shaped[surface.vertices], offsets[k][first], eye, eyes[side])
        offsets[k] = blink[back]
    return offsets


def _teeth(source: HeadSource, body: np.ndarray, targets: np.ndarray, smile: Smile) -> Part:
    strips, seam = {}, body[[LANDMARKS["lip_inner_2"], LANDMARKS["lip_inner_6"]]].mean(0)
    middle = np.array([body[source.groups["helper-upper-teeth"], 0].mean(), 0, 0])
    row = source.target_names.index
    for jaw, bite in BITES.items():
        group = source.groups[f"helper-{jaw}-teeth"]
        moves = targets[:, group]
        moves[[row("jawLeft"), row("jawRight")]] *= SIDEWAYS
        moves[row("mouthFunnel")] += np.multiply(ROUNDED, (1, 1 if jaw == "upper" else -1, 1))
        strips[jaw] = (seat(body[group] - middle, jaw == "upper", seam, bite), moves)
    teeth = build_teeth(strips, smile)
    return replace(teeth, positions=teeth.positions + middle)


def _rested_tongue(tongue: np.ndarray, scale: float) -> np.ndarray:
    """Positions ``(V, 3)`` of the tongue on the floor of the mouth."""
    rested = tongue + np.multiply(TONGUE_REST, scale)
    floor = rested[:, 1].min()
    rested[:, 0] *= TONGUE_SIZE[0]
    rested[:, 1] = floor + TONGUE_SIZE[1] * (rested[:, 1] - floor)
    return rested


def _darker_behind(points: np.ndarray) -> np.ndarray:
    """Vertex colours ``(V, 3)`` that darken towards the throat."""
    depth = (points[:, 2].max() - points[:, 2]) / np.ptp(points[:, 2])
    return np.repeat(np.clip(1.05 - 0.9 * depth, 0.45, 1)[:, None], 3, axis=1)


def _warped(part: Part, warp: Warp) -> Part:
    positions = warp(part.positions)
    offsets = warp(part.positions + part.offsets) - positions
    return replace(make_part(part.name, part.finish, positions, part.uv, part.triangles, offsets), colors=part.colors)


def _warp_of(source: HeadSource, body: np.ndarray, recipe: Recipe) -> Warp:
    centres = np.stack([source.eye(body, side)[0] for side in "lr"])
    nose, corners = _nose(source, body), _corners(body)
    return make_warp(
        recipe.style, eyes=centres, nose=nose, mouth=corners.mean(0), neck=source.joint(body, "neck"),
    )  # fmt: skip


def _ear_targets(source: HeadSource, body: np.ndarray) -> np.ndarray:
    """Displacements of :data:`EAR_SHAPES`, ``(2, V, 3)``."""
    found = np.zeros((len(EAR_SHAPES), *body.shape))
    for row, (roll, yaw) in enumerate(EAR_SHAPES.values()):
        for sign in (-1, 1):
            amount = source.ears * (body[:, 0] * sign > 0)
            root = body[(amount > 0.5)]
            root = np.array([sign * np.quantile(np.abs(root[:, 0]), 0.05), root[:, 1].mean(), root[:, 2].max()])
            r, y = np.radians([-roll * sign, -yaw * sign])
            about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
            about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
            d = body - root
            found[row] += amount[:, None] * (d @ (about_y @ about_z).T - d)
    return found


def _push_out(points: np.ndarray, eyes: list[tuple[np.ndarray, float]]) -> np.ndarray:
    """Move points off the front of the eyeballs, so that no eyeball shows through a lid."""
    out = points.copy()
    for centre, radius in eyes:
        d = out - centre
        distance = np.linalg.norm(d, axis=-1, keepdims=True)
        inside = (distance < radius * LID_CLEARANCE) & (d[..., 2:] > 0.25 * radius)
        out = np.where(inside, centre + d / np.maximum(distance, 1e-9) * radius * LID_CLEARANCE, out)
    return out


def _in_sockets(skin: Part, eyes: dict[str, Sphere]) -> np.ndarray:
    """Vertices ``(V,)`` bool of the skin behind the lids, which nobody sees until a lid that swells lets it through."""
    near = [np.linalg.norm(skin.positions - centre, axis=1) < SOCKET * radius for centre, radius in eyes.values()]
    return np.any(near, axis=0) & (skin.normals[:, 2] < -0.1)


def _kept_behind(mouth: Part, skin: Part) -> Part:
    """The inside of the mouth with offsets that never bring it before the skin."""
    front = skin.normals[:, 2] > 0.2
    inner = ~np.isin(mouth.merge, skin.merge)
    offsets = mouth.offsets.copy()
    for k in np.flatnonzero(np.abs(mouth.offsets).max((1, 2)) > 1e-5):
        outer, moved = (skin.positions + skin.offsets[k])[front], mouth.positions[inner] + mouth.offsets[k, inner]
        nearest = cKDTree(outer[:, :2]).query(moved[:, :2], k=4)[1]
        limit = outer[nearest, 2].min(1) - MOUTH_BEHIND
        offsets[k, inner, 2] += np.minimum(limit - moved[:, 2], 0)
    return replace(mouth, offsets=offsets)


def _occluded(parts: list[Part], names: tuple[str, ...]) -> list[Part]:
    """The parts with ambient occlusion: of the neutral face or, inside the mouth, of an open one."""
    whole = joined(parts)
    opened = whole.positions + 0.7 * whole.offsets[names.index("jawOpen")]
    light = np.maximum(
        *(ambient_occlusion(points, whole.normals, whole.triangles) for points in (whole.positions, opened))
    )
    spans = np.split(np.clip(light * 1.25, 0, 1), np.cumsum([len(p.positions) for p in parts])[:-1])
    floors = [OCCLUSION_FLOOR.get(p.name, 0.3) for p in parts]
    shades = [floor + (1 - floor) * span for floor, span in zip(floors, spans, strict=True)]
    return [replace(p, colors=p.colors * s[:, None]) for p, s in zip(parts, shades, strict=True)]


def _face_scale(source: HeadSource, body: np.ndarray) -> float:
    """Size of the face against the template's: distance between the eyes and from eyes to mouth."""

    def size(v: np.ndarray) -> float:
        left, right, mouth = source.joint(v, "l-eye"), source.joint(v, "r-eye"), _corners(v).mean(0)
        return float(np.linalg.norm(left - right) + np.linalg.norm((left + right) / 2 - mouth))

    return size(body) / size(source.template)


def _corners(body: np.ndarray) -> np.ndarray:
    """Mouth corners, ``(2, 3)``, right then left."""
    return body[list(MOUTH_CORNERS)]


def _nose(source: HeadSource, body: np.ndarray) -> np.ndarray:
    skin = source.part("body").vertices
    near = skin[np.abs(source.template[skin, 0]) < 0.004]
    return body[near[np.argmax(source.template[near, 2])]]


def _landmarks(source: HeadSource, body: np.ndarray, eyes: dict) -> np.ndarray:
    front = [eyes[s][0] + [0, 0, eyes[s][1]] for s in "rl"]
    return np.concatenate([front, [_nose(source, body)], _corners(body)])
