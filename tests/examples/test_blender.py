"""The add-on in Blender itself, with the committed example.

python -m venv BLENDER && BLENDER/bin/pip install bpy==5.0.1 pytest numpy        # Python 3.11
BLENDER/bin/python -m pytest --noconftest tests/examples/test_blender.py
"""

import json
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="bpy is GPL, so in an environment of its own")

from examples.hosts import blender_freeavatar as addon  # noqa: E402

RESULT = Path(__file__).resolve().parents[2] / "examples" / "result"
DATA = json.loads((RESULT / "actor_ines.json").read_text())
FRAMES = np.linspace(0, len(DATA["times"]) - 1, 10).astype(int)


@pytest.fixture
def scene():
    """An empty scene, with the add-on."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon.register()
    yield bpy.context.scene
    addon.unregister()


@pytest.fixture
def face(scene):
    """The example's animated GLB as Blender imports it at its rate, selected; key times are frames from 0."""
    scene.render.fps = 25
    bpy.ops.import_scene.gltf(filepath=str(RESULT / "actor_ines.glb"))
    (face,) = [item for item in bpy.data.objects if item.type == "MESH" and item.data.shape_keys]
    bpy.ops.object.select_all(action="DESELECT")
    face.select_set(True)
    return face


def settings(scene, face):
    scene.freeavatar.head, scene.freeavatar.bone = face.find_armature(), "head"
    return {"filepath": str(RESULT / "actor_ines.json"), "start": 0}


def show(scene, frame):
    scene.frame_set(int(np.floor(frame)), subframe=float(frame % 1))


def shapes(scene, face, frames):
    """Weights of all shapes, ``(T, K)``, by name."""
    rows = []
    for frame in frames:
        show(scene, frame)
        rows.append([block.value for block in face.data.shape_keys.key_blocks[1:]])
    return dict(zip([block.name for block in face.data.shape_keys.key_blocks[1:]], np.array(rows).T, strict=True))


def turns(scene, item, frames):
    """Rotations of a head from rest, in the world, ``(T, 3, 3)``."""
    found = []
    for frame in frames:
        show(scene, frame)
        if item.type == "ARMATURE":
            bone = item.pose.bones["head"]
            found.append(np.array((item.matrix_world @ bone.matrix).to_3x3()))
            found[-1] = found[-1] @ np.linalg.inv((item.matrix_world @ bone.bone.matrix_local).to_3x3())
        else:
            found.append(np.array(item.matrix_world.to_3x3().normalized()))
    return np.array(found)


def expected_turns():
    """Of the JSON, ``Rz(yaw) Rx(pitch) Ry(roll)``."""
    found = []
    for yaw, pitch, roll in np.radians([DATA["head"][frame] for frame in FRAMES]):
        (cz, sz), (cx, sx), (cy, sy) = ((np.cos(angle), np.sin(angle)) for angle in (yaw, pitch, roll))
        about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        found.append(about_z @ about_x @ about_y)
    return np.array(found)


def degrees_apart(first, second):
    apart = np.linalg.norm(first - second, axis=(1, 2)) / np.sqrt(8)
    return np.degrees(2 * np.arcsin(np.clip(apart, 0, 1))).max()


def off(found, column="weights"):
    rows = np.array([DATA[column][frame] for frame in FRAMES])
    return max(np.abs(found[name] - rows[:, place]).max() for place, name in enumerate(DATA["names"]))


def test_it_plays_the_json_as_blender_plays_the_glb(scene, face):
    of_glb, head_of_glb = shapes(scene, face, FRAMES), turns(scene, face.find_armature(), FRAMES)
    arguments = settings(scene, face)
    for data in (face.data.shape_keys, face.find_armature()):
        data.animation_data_clear()
    assert bpy.ops.import_anim.freeavatar(**arguments) == {"FINISHED"}
    found, head = shapes(scene, face, FRAMES), turns(scene, face.find_armature(), FRAMES)
    print(f"Blender {bpy.app.version_string}, {len(found)} shapes at {len(FRAMES)} frames")
    print(f"shapes: JSON {off(found):.1e}, GLB {max(np.abs(found[n] - of_glb[n]).max() for n in found):.1e}")
    print(f"head: JSON {degrees_apart(head, expected_turns()):.1e}, GLB {degrees_apart(head, head_of_glb):.1e} degrees")
    assert off(found) < 1e-6 and off(of_glb) < 1e-5
    assert max(np.abs(found[name] - of_glb[name]).max() for name in found) < 2e-5
    assert degrees_apart(head, expected_turns()) < 1e-3 and degrees_apart(head, head_of_glb) < 1e-3
    assert np.abs(expected_turns() - np.eye(3)).max() > 0.1
    assert (scene.render.fps, scene.frame_end) == (25, 250)
    moved = [name for name in found if name.startswith("fix_") and found[name].max() > 0.05]
    assert len(moved) > 3


def test_it_replaces_the_keys_that_are_there(scene, face):
    arguments = settings(scene, face)
    for strength in (0.0, 1.0):
        bpy.ops.import_anim.freeavatar(**arguments, strength=strength, head_strength=strength)
    assert off(shapes(scene, face, FRAMES)) < 1e-6
    assert degrees_apart(turns(scene, face.find_armature(), FRAMES), expected_turns()) < 1e-3


def test_a_csv_plays_on_shapes_that_are_spelt_otherwise_at_the_scenes_rate(scene, face):
    face.data.shape_keys.animation_data_clear()
    names = {name: "Face_" + "".join("_" + c.lower() if c.isupper() else c for c in name) for name in DATA["names"]}
    for name, spelt in names.items():
        face.data.shape_keys.key_blocks[name].name = spelt
    scene.render.fps, scene.render.fps_base = 30, 1.001
    arguments = settings(scene, face) | {"filepath": str(RESULT / "actor_ines.csv"), "start": 10, "match_rate": False}
    bpy.ops.import_anim.freeavatar(**arguments)
    frames = [10 + DATA["times"][frame] * 30 / 1.001 for frame in FRAMES]
    found = shapes(scene, face, frames)
    assert off({name: found[spelt] for name, spelt in names.items()}) < 1e-4
    assert degrees_apart(turns(scene, face.find_armature(), frames), expected_turns()) < 0.01
    assert (scene.render.fps, scene.frame_end) == (30, 279)


def test_the_head_follows_a_character_that_was_turned(scene, face):
    armature = face.find_armature()
    bpy.ops.import_anim.freeavatar(**settings(scene, face))
    before = turns(scene, armature, FRAMES)
    armature.rotation_mode, armature.rotation_euler = "XYZ", (0, 0, 2)
    bpy.ops.import_anim.freeavatar(**settings(scene, face))
    turned = np.array(armature.matrix_world.to_3x3())
    assert degrees_apart(turns(scene, armature, FRAMES), turned @ before @ turned.T) < 1e-3


def test_an_object_turns_on_top_of_how_it_stands(scene):
    bpy.ops.object.empty_add(rotation=(0, 0, 0.7))
    parent = bpy.context.object
    bpy.ops.object.empty_add(rotation=(0.3, -0.2, 0.5), location=(0, 0, 1))
    head = bpy.context.object
    head.parent = parent
    bpy.context.view_layer.update()
    rest, heading = np.array(head.matrix_world.to_3x3()), np.array(parent.matrix_world.to_3x3())
    scene.freeavatar.head = head
    for _ in range(2):
        bpy.ops.import_anim.freeavatar(filepath=str(RESULT / "actor_ines.json"), start=0)
        found = turns(scene, head, FRAMES) @ rest.T
        assert degrees_apart(found, heading @ expected_turns() @ heading.T) < 1e-3


def test_stretches_without_a_sure_face_are_marked(scene, face, tmp_path):
    confidence = np.array(DATA["confidence"])
    confidence[20:30], confidence[200:] = 0.1, 0
    (tmp_path / "a.json").write_text(json.dumps(DATA | {"confidence": confidence.tolist()}))
    scene.timeline_markers.new("mine", frame=25)
    for _ in range(2):
        bpy.ops.import_anim.freeavatar(filepath=str(tmp_path / "a.json"), start=1)
    markers = sorted((marker.frame, marker.name) for marker in scene.timeline_markers)
    assert markers == [(21, "face unsure"), (25, "mine"), (31, "face sure"), (201, "face unsure")]


def test_errors_say_what_to_do(scene, face, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    example = str(RESULT / "actor_ines.json")
    with pytest.raises(RuntimeError, match="no column Timecode"):
        bpy.ops.import_anim.freeavatar(filepath=str(tmp_path / "a.csv"))
    scene.freeavatar.head = face.find_armature()
    with pytest.raises(RuntimeError, match="Pick the head bone of Armature"):
        bpy.ops.import_anim.freeavatar(filepath=example)
    scene.freeavatar.head = None
    for block in face.data.shape_keys.key_blocks:
        block.name = "belly"
    with pytest.raises(RuntimeError, match="No shape key of the selection is named like eyeBlinkLeft"):
        bpy.ops.import_anim.freeavatar(filepath=example)
    face.select_set(False)
    with pytest.raises(RuntimeError, match="Select a mesh with shape keys"):
        bpy.ops.import_anim.freeavatar(filepath=example)
