"""Blender add-on: plays FreeAvatar's curves (JSON, or a Live Link Face CSV) on shape keys and a head.

Install this file by Edit > Preferences > Add-ons > Install from Disk. Pick the head in the sidebar of the 3D view (N,
tab FreeAvatar), select the meshes, and choose File > Import > FreeAvatar curves.

What lies above the line "Blender" needs Python alone.
"""

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import bpy

bl_info = {
    "name": "FreeAvatar curves",
    "author": "FreeAvatar",
    "version": (1, 0, 0),
    "blender": (4, 2, 0),
    "location": "File > Import > FreeAvatar curves (.json, .csv)",
    "description": "Play FreeAvatar's JSON or a Live Link Face CSV on shape keys and a head",
    "category": "Import-Export",
}

Quaternion = tuple[float, float, float, float]
"""``w, x, y, z``, as Blender has them."""

UNSURE, SURE = "face unsure", "face sure"
"""Names of markers, where a stretch begins and ends."""
_HEAD = ("HeadYaw", "HeadPitch", "HeadRoll")
_HEAD_SIGNS = (1, -1, -1)
_NOT_SHAPES = re.compile(r"timecode|blendshapecount|(head|lefteye|righteye)(yaw|pitch|roll)", re.IGNORECASE)
_TIMECODE = re.compile(r"(\d+):(\d+):(\d+)[:;](\d+(?:\.\d+)?)")
_BASE = 60
_DAY = 24 * 60 * 60


class CurvesError(Exception):
    """What is wrong with a file, in words for its user."""


class Curves(NamedTuple):
    """What a file holds, T frames of K controls."""

    names: list[str]
    """Names of the controls, K."""
    rate: Fraction
    """Frames a second."""
    times: list[float]
    """Seconds from the first frame, T, increasing."""
    weights: list[list[float]]
    """T rows of K in [0, 1]."""
    head: list[list[float]]
    """T rows of yaw (nose towards the viewer's right), pitch (down) and roll (clockwise for the viewer), degrees."""
    confidence: list[float]
    """How sure the face track is, T values in [0, 1]."""


def read_curves(path: str | Path) -> Curves:
    """Read a file by its ending.

    Raises:
        CurvesError: it cannot be read, or holds no curves.
    """
    path = Path(path)
    read = {".json": _read_json, ".csv": _read_csv}.get(path.suffix.lower())
    if read is None:
        raise CurvesError(f"{path.name} is neither .json nor .csv: choose a file that FreeAvatar wrote.")
    try:
        curves = read(path.read_text(encoding="utf-8-sig"))
        _check(curves)
    except OSError as error:
        raise CurvesError(f"Cannot read {path.name} ({error.strerror}): choose a file that exists.") from error
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError, csv.Error) as error:
        kind = "FreeAvatar JSON" if read is _read_json else "Live Link Face CSV"
        raise CurvesError(f"{path.name} is not a complete {kind} ({error}): export it again.") from error
    return curves


def _check(curves: Curves) -> None:
    count = len(curves.times)
    if not count or not curves.names:
        raise ValueError("it has no frames or no shapes")
    rows = [(curves.weights, len(curves.names)), (curves.head, 3)]
    if len(curves.confidence) != count or any({*map(len, r)} != {width} or len(r) != count for r, width in rows):
        raise ValueError("its arrays differ in length")
    numbers = [*curves.times, *curves.confidence, *(v for table, _ in rows for row in table for v in row)]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a number is missing")
    if any(b <= a for a, b in pairwise(curves.times)) or curves.rate <= 0:
        raise ValueError("its times do not increase")


def _read_json(text: str) -> Curves:
    data = json.loads(text)
    if not isinstance(data, dict) or (data.get("format"), data.get("version")) != ("freeavatar-performance", 1):
        raise ValueError('it is no "freeavatar-performance" of version 1')
    names = [str(name) for name in data["names"]]
    return Curves(names, Fraction(data["rate"]), *(data[key] for key in ("times", "weights", "head", "confidence")))


def _read_csv(text: str) -> Curves:
    rows = [row for row in csv.reader(text.splitlines()) if row]
    titles = [title.strip() for title in rows.pop(0)] if rows else []
    places = {title.lower(): place for place, title in enumerate(titles)}
    if "timecode" not in places:
        raise ValueError("it has no column Timecode")
    shapes = [place for place, title in enumerate(titles) if title and not _NOT_SHAPES.fullmatch(title)]
    weights = [[min(max(float(row[place]), 0.0), 1.0) for place in shapes] for row in rows]
    turns = [(places.get(title.lower()), sign) for title, sign in zip(_HEAD, _HEAD_SIGNS, strict=True)]
    head = [[0.0 if at is None else math.degrees(sign * float(row[at])) for at, sign in turns] for row in rows]
    rate, times = _timeline([row[places["timecode"]] for row in rows])
    return Curves([titles[place] for place in shapes], rate, times, weights, head, [1.0] * len(rows))


def _timeline(labels: Iterable[str]) -> tuple[Fraction, list[float]]:
    """Rate, and seconds from the first row, of timecodes ``HH:MM:SS:FF.sss``."""
    seconds: list[int] = []
    parts: list[float] = []
    for label in labels:
        if (match := _TIMECODE.fullmatch(label.strip())) is None:
            raise ValueError(f'"{label}" is not a timecode HH:MM:SS:FF.sss')
        clock = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])
        if seconds and clock < seconds[-1] % _DAY - _DAY / 2:
            clock += _DAY
        seconds.append(clock + (seconds[-1] // _DAY * _DAY if seconds else 0))
        parts.append(float(match[4]))
    base = _base(seconds, parts)
    counts = [(second - seconds[0]) * base + part - parts[0] for second, part in zip(seconds, parts, strict=True)]
    steps = [b - a for a, b in pairwise(counts)]
    return _named_rate(base / (median(steps) if steps else 1)), [count / base for count in counts]


def _base(seconds: Sequence[int], parts: Sequence[float]) -> int:
    """What the last part of the timecodes counts in a second: sixty, or frames, as other tools write them."""
    pairs = list(pairwise(zip(seconds, parts, strict=True)))
    within = [after - before for (a, before), (b, after) in pairs if a == b]
    passing = [before - after for (a, before), (b, after) in pairs if b == a + 1]
    found = round(median(passing) + median(within)) if within and passing else _BASE
    found = max(found, int(max(parts, default=0)) + 1)
    return _BASE if abs(found - _BASE) <= 1 else found


def _named_rate(rate: float) -> Fraction:
    """The whole or NTSC rate that a measured one is, within the rounding of timecodes."""
    whole = max(round(rate), 1)
    near = min((Fraction(whole), Fraction(whole * 1000, 1001)), key=lambda known: abs(float(known) - rate))
    return near if abs(float(near) - rate) < 5e-4 * rate else Fraction(rate).limit_denominator(1001)


def match_names(shapes: Iterable[str], controls: Sequence[str]) -> dict[str, int]:
    """Which control each shape plays, as its place; shapes that play none are left out.

    Case, underscores and the like do not count, ``_L`` is ``Left``, and all shapes may have one prefix, the one by
    which most of them match.
    """
    full = {key: place for place, name in enumerate(controls) if (key := _key(name))}
    short = {re.sub("(?<=.)(?:(l)eft|(r)ight)$", r"\1\2", key): place for key, place in full.items()}
    places = short | full
    keys = {shape: _key(shape) for shape in shapes}
    prefixes = Counter(key[: -len(end)] for key in keys.values() for end in places if key.endswith(end))
    prefix = min(prefixes, key=lambda found: (-prefixes[found], len(found)), default="")
    return {s: places[k[len(prefix) :]] for s, k in keys.items() if k.startswith(prefix) and k[len(prefix) :] in places}


def _key(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def product(inputs: Iterable[str], weights: Mapping[str, Sequence[float]]) -> list[float]:
    """Weights of a corrective: the product of others'; ``!`` before a name stands for what that lacks to 1."""
    columns = [[1 - w for w in weights[name[1:]]] if name[0] == "!" else weights[name] for name in inputs]
    return [math.prod(row) for row in zip(*columns, strict=True)]


def unsure_stretches(confidence: Sequence[float], bound: float) -> list[tuple[int, int]]:
    """Stretches whose confidence is below ``bound``: the first frame of each, and the first after it."""
    is_unsure = [False, *(value < bound for value in confidence), False]
    edges = [i for i, (a, b) in enumerate(pairwise(is_unsure)) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))


def head_quaternion(yaw: float, pitch: float, roll: float) -> Quaternion:
    """Rotation of a head that faces -Y, Blender's front view: ``Rz(yaw) Rx(pitch) Ry(roll)``, from degrees."""
    (cz, sz), (cx, sx), (cy, sy) = (
        (math.cos(half), math.sin(half)) for half in (math.radians(angle) / 2 for angle in (yaw, pitch, roll))
    )
    return multiply(multiply((cz, 0.0, 0.0, sz), (cx, sx, 0.0, 0.0)), (cy, 0.0, sy, 0.0))


def multiply(first: Sequence[float], second: Sequence[float]) -> Quaternion:
    """Hamilton product: the rotation by ``second``, then by ``first``."""
    (a, b, c, d), (w, x, y, z) = first, second
    return (
        a * w - b * x - c * y - d * z, a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x, a * z + b * y - c * x + d * w,
    )  # fmt: skip


def seen_from(axes: Sequence[float], turn: Sequence[float]) -> Quaternion:
    """A rotation ``turn`` of the world in axes that ``axes`` turned: ``axes^-1 turn axes``."""
    w, x, y, z = axes
    return multiply(multiply((w, -x, -y, -z), turn), axes)


def heading(rotation: Sequence[float]) -> Quaternion:
    """The part of a rotation about Z: where a character that faces -Y at rest was turned to."""
    w, _, _, z = rotation
    size = math.hypot(w, z)
    return (w / size, 0.0, 0.0, z / size) if size > 1e-6 else (1.0, 0.0, 0.0, 0.0)


def continuous(turns: Iterable[Quaternion]) -> list[Quaternion]:
    """The same rotations, each on the side of its predecessor."""
    found: list[Quaternion] = []
    for w, x, y, z in turns:
        is_far = bool(found) and sum(a * b for a, b in zip(found[-1], (w, x, y, z), strict=True)) < 0
        found.append((-w, -x, -y, -z) if is_far else (w, x, y, z))
    return found


# Blender

_LINEAR = 1
"""Blender's number for linear interpolation."""


def fcurves(data: Any, name: str) -> Any:
    """The F-curves that move a data-block, in its action or a new one."""
    animation = data.animation_data_create()
    if animation.action is None:
        animation.action = bpy.data.actions.new(name)
    action = animation.action
    if not hasattr(action, "slots"):  # before Blender 4.4
        return action.fcurves
    if animation.action_slot is None:
        animation.action_slot = action.slots.new(data.id_type, data.name)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(animation.action_slot, ensure=True).fcurves


def remove_keys(curves: Any, path: str, index: int = 0) -> None:
    """Remove the F-curve of a property, or of one place in it, if there is one."""
    if (curve := curves.find(path, index=index)) is not None:
        curves.remove(curve)


def set_keys(curves: Any, path: str, frames: Sequence[float], values: Sequence[float], index: int = 0) -> None:
    """Replace the F-curve of a property, or of one place in it."""
    remove_keys(curves, path, index)
    curve = curves.new(path, index=index)
    curve.keyframe_points.add(len(frames))
    curve.keyframe_points.foreach_set("co", [x for pair in zip(frames, values, strict=True) for x in pair])
    curve.keyframe_points.foreach_set("interpolation", [_LINEAR] * len(frames))
    curve.update()


def key_shapes(mesh: Any, curves: Curves, frames: Sequence[float], strength: float, name: str) -> int:
    """Key the shapes of a mesh that the curves name, and the correctives that follow; how many the curves name."""
    matched = match_names([block.name for block in mesh.shape_keys.key_blocks[1:]], curves.names)
    weights = {s: [min(strength * row[place], 1.0) for row in curves.weights] for s, place in matched.items()}
    declared = mesh.get("correctives")
    for fix, inputs in (declared.to_dict() if hasattr(declared, "to_dict") else {}).items():
        if fix in mesh.shape_keys.key_blocks and {text.removeprefix("!") for text in inputs} <= matched.keys():
            weights[fix] = product(inputs, weights)
    keyed = fcurves(mesh.shape_keys, name) if weights else None
    for shape, values in weights.items():
        set_keys(keyed, f'key_blocks["{bpy.utils.escape_identifier(shape)}"].value', frames, values)
    return len(matched)


def key_head(item: Any, bone: str, turns: Sequence[Quaternion], frames: Sequence[float], name: str) -> None:
    """Key a head, a bone of an armature or an object as it stands, in the axes its character was turned to."""
    curves = fcurves(item, name)
    if item.type == "ARMATURE":
        owner, path = item.pose.bones[bone], f'pose.bones["{bpy.utils.escape_identifier(bone)}"].rotation_quaternion'
        axes = (item.matrix_world @ owner.bone.matrix_local).to_quaternion()
    else:
        owner, path = item, "delta_rotation_quaternion"
        for index in range(4):
            remove_keys(curves, path, index)
        item.delta_rotation_quaternion = (1.0, 0.0, 0.0, 0.0)
        bpy.context.view_layer.update()
        axes = (item.matrix_world @ item.matrix_basis.inverted()).to_quaternion()
    owner.rotation_mode = "QUATERNION"
    root = item
    while root.parent is not None:
        root = root.parent
    w, x, y, z = heading(root.matrix_world.to_quaternion())
    local = continuous(seen_from(axes, seen_from((w, -x, -y, -z), turn)) for turn in turns)
    for index in range(4):
        set_keys(curves, path, frames, [turn[index] for turn in local], index)


def set_markers(scene: Any, confidence: Sequence[float], bound: float, frames: Sequence[float]) -> int:
    """Replace the markers of unsure stretches within these frames; how many stretches there are."""
    for marker in list(scene.timeline_markers):
        if marker.name in (UNSURE, SURE) and round(frames[0]) <= marker.frame <= round(frames[-1]):
            scene.timeline_markers.remove(marker)
    stretches = unsure_stretches(confidence, bound)
    for first, after in stretches:
        scene.timeline_markers.new(UNSURE, frame=round(frames[first]))
        if after < len(frames):
            scene.timeline_markers.new(SURE, frame=round(frames[after]))
    return len(stretches)


class Settings(bpy.types.PropertyGroup):
    """What a scene remembers."""

    head: bpy.props.PointerProperty(
        type=bpy.types.Object, name="Head", description="Object that turns, or the armature of the bone that turns"
    )
    bone: bpy.props.StringProperty(name="Bone", description="Bone that turns")


class ImportCurves(bpy.types.Operator):
    """Play FreeAvatar's curves on the selected meshes and the head; keys of an earlier import are replaced"""

    bl_idname = "import_anim.freeavatar"
    bl_label = "Import FreeAvatar curves"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    filepath: bpy.props.StringProperty(subtype="FILE_PATH")
    filter_glob: bpy.props.StringProperty(default="*.json;*.csv", options={"HIDDEN"})
    start: bpy.props.IntProperty(name="Start frame", default=1)
    match_rate: bpy.props.BoolProperty(
        name="Match frame rate",
        default=True,
        description="Give the scene the file's frame rate; without it keys lie between frames",
    )
    strength: bpy.props.FloatProperty(name="Strength of the face", default=1, min=0, max=3)
    head_strength: bpy.props.FloatProperty(name="Strength of the head", default=1, min=0, max=3)
    bound: bpy.props.FloatProperty(
        name="Unsure below",
        default=0.5,
        min=0,
        max=1,
        description="Mark stretches of the timeline where the face track is less sure",
    )

    def invoke(self, context, event):
        """Ask for the file."""
        self.start = context.scene.frame_start
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        """Read the file, and key what it names."""
        head, bone = context.scene.freeavatar.head, context.scene.freeavatar.bone
        meshes = {item.data for item in context.selected_objects if item.type == "MESH" and item.data.shape_keys}
        try:
            curves = read_curves(self.filepath)
            if head is not None and head.type == "ARMATURE" and bone not in head.pose.bones:
                raise CurvesError(f"Pick the head bone of {head.name} in the sidebar of the 3D view, tab FreeAvatar.")
            if not meshes and head is None:
                raise CurvesError("Select a mesh with shape keys, or pick a head in the sidebar, tab FreeAvatar.")
            shapes = [block.name for mesh in meshes for block in mesh.shape_keys.key_blocks[1:]]
            if head is None and not match_names(shapes, curves.names):
                raise CurvesError(f"No shape key of the selection is named like {', '.join(curves.names[:3])} ...")
        except CurvesError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        frames, name = self.frames(context.scene, curves), Path(self.filepath).stem
        counts = [key_shapes(mesh, curves, frames, self.strength, name) for mesh in meshes]
        if head is not None:
            turns = [head_quaternion(*(self.head_strength * angle for angle in row)) for row in curves.head]
            key_head(head, bone, turns, frames, name)
        stretches = set_markers(context.scene, curves.confidence, self.bound, frames)
        self.report(
            {"INFO" if sum(counts) or not meshes else "WARNING"},
            f"{len(frames)} frames on {sum(counts)} shape keys of {sum(map(bool, counts))} meshes, "
            f"{'no head' if head is None else 'and the head'}; unsure stretches: {stretches}",
        )
        return {"FINISHED"}

    def frames(self, scene: Any, curves: Curves) -> list[float]:
        """The scene's frame of each of the file's; the scene's rate and end follow."""
        rate, render = curves.rate, scene.render
        if self.match_rate:
            render.fps = max(round(rate), 1)
            render.fps_base = float(render.fps / rate)
        else:
            rate = render.fps / render.fps_base
        frames = [self.start + time * float(rate) for time in curves.times]
        scene.frame_end = max(scene.frame_end, math.ceil(frames[-1] - 1e-3))
        return frames


class Panel(bpy.types.Panel):
    """Which head turns, and the import."""

    bl_idname = "VIEW3D_PT_freeavatar"
    bl_label = "FreeAvatar"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "FreeAvatar"

    def draw(self, context):
        """Show it."""
        settings = context.scene.freeavatar
        self.layout.prop(settings, "head")
        if settings.head is not None and settings.head.type == "ARMATURE":
            self.layout.prop_search(settings, "bone", settings.head.pose, "bones")
        self.layout.operator(ImportCurves.bl_idname, icon="IMPORT")


_CLASSES = (Settings, ImportCurves, Panel)


def _add_to_menu(self, context):
    self.layout.operator(ImportCurves.bl_idname, text="FreeAvatar curves (.json, .csv)")


def register():
    """Called by Blender."""
    for kind in _CLASSES:
        bpy.utils.register_class(kind)
    bpy.types.Scene.freeavatar = bpy.props.PointerProperty(type=Settings)
    bpy.types.TOPBAR_MT_file_import.append(_add_to_menu)


def unregister():
    """Called by Blender."""
    bpy.types.TOPBAR_MT_file_import.remove(_add_to_menu)
    del bpy.types.Scene.freeavatar
    for kind in reversed(_CLASSES):
        bpy.utils.unregister_class(kind)
