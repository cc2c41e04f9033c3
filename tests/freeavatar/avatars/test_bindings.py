"""Controls of files by other tools: names, VRM expressions, correctives, what is not driven, what is refused."""

import json
import struct
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from pygltflib import GLTF2

from freeavatar.avatars import load_avatar
from freeavatar.errors import AvatarError
from freeavatar.export import write_animated_glb
from freeavatar.rig import ARKIT, Controls
from tests.heads import HeadFile


def play(avatar, weights, out):
    """Write ``(T, K)`` weights as an animated GLB; returns each mesh node's weights, ``(T, targets)``."""
    count = len(weights)
    performance = Controls(
        avatar=avatar.name, names=avatar.target_names, weights=np.asarray(weights, np.float32),
        times=np.arange(count) / 25, rate=Fraction(25), head=np.zeros((count, 3), np.float32),
        confidence=np.ones(count, np.float32),
    )  # fmt: skip
    write_animated_glb(avatar.path, performance, out, animate_head=False)
    gltf = GLTF2.load(str(out))
    (animation,) = gltf.animations
    found = {}
    for channel in animation.channels:
        view = gltf.bufferViews[gltf.accessors[animation.samplers[channel.sampler].output].bufferView]
        values = np.frombuffer(gltf.binary_blob(), "<f4", view.byteLength // 4, view.byteOffset)
        found[channel.target.node] = values.reshape(count, -1)
    return found


def test_targets_that_nothing_drives_are_named_but_not_loaded(tmp_path):
    avatar = load_avatar(HeadFile([("smirk", "Jaw_Open", "earWiggle")]).save(tmp_path / "a.glb"))
    assert avatar.target_names == ("Jaw_Open",) and avatar.unused_targets == ("smirk", "earWiggle")
    assert len(avatar.target_positions) == 1 and avatar.missing_blendshapes == tuple(
        name for name in ARKIT if name != "jawOpen"
    )


def test_meshes_that_share_a_control_move_together_and_controls_stand_in_arkits_order(tmp_path):
    avatar = load_avatar(HeadFile([ARKIT[::-1], ("jawOpen", "smirk"), ()]).save(tmp_path / "a.glb"))
    assert avatar.target_names == ARKIT and avatar.is_arkit
    moved = np.abs(avatar.target_positions[ARKIT.index("jawOpen")]).max(1).reshape(3, -1) > 1e-3
    assert moved[0].any() and moved[1].any() and not moved[2].any()


def test_a_corrective_is_the_product_of_its_inputs_in_picture_and_file(tmp_path):
    file = HeadFile([("jawOpen", "mouthSmileLeft", "fix", "lost")])
    file.gltf.meshes[0].extras["correctives"] = {"fix": ["jawOpen", "mouthSmileLeft"], "lost": ["jawOpen", "gone"]}
    avatar = load_avatar(file.save(tmp_path / "a.glb"))
    assert avatar.target_names == ("jawOpen", "mouthSmileLeft") and avatar.unused_targets == ("lost",)
    weights = np.array([[0.5, 0.6], [1, 0]], np.float32)
    np.testing.assert_allclose(avatar.corrective_weights(weights), [[0.3], [0]], atol=1e-6)
    (written,) = play(avatar, weights, tmp_path / "out.glb").values()
    np.testing.assert_allclose(written, [[0.5, 0.6, 0.3, 0], [1, 0, 0, 0]], atol=1e-6)


def test_declared_drivers_make_a_rig_of_its_own_follow(tmp_path):
    file = HeadFile([("grin", "drop")])
    file.gltf.meshes[0].extras["drivers"] = {"grin": {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}}
    avatar = load_avatar(file.save(tmp_path / "a.glb"))
    smile = np.array([[float("Smile" in name) for name in ARKIT]])
    assert avatar.target_names == ("grin",) and avatar.unused_targets == ("drop",)
    np.testing.assert_allclose(avatar.control_weights(smile), [[1.0]])


def vrm(tmp_path):
    """A VRM 1.0 layout: face and teeth in one file, `aa` moves both, `happy` half of two targets."""
    file = HeadFile([("M_A", "M_Smile", "M_Extra"), ("T_A",)])
    bind = lambda node, index, weight=1.0: {"node": node, "index": index, "weight": weight}  # noqa: E731
    preset = {
        "aa": {"morphTargetBinds": [bind(0, 0), bind(1, 0, 0.5)]},
        "happy": {"morphTargetBinds": [bind(0, 1, 0.5), bind(0, 0, 0.25)]},
        "neutral": {"morphTargetBinds": []},
    }
    file.gltf.extensionsUsed = ["VRMC_vrm"]
    file.gltf.extensions = {"VRMC_vrm": {"specVersion": "1.0", "expressions": {"preset": preset}}}
    return file.save(tmp_path / "a.glb")


def test_expressions_of_a_vrm_are_controls_that_move_several_targets(tmp_path):
    avatar = load_avatar(vrm(tmp_path))
    assert avatar.target_names == ("aa", "happy") and avatar.unused_targets == ("M_Extra",)
    face, teeth = np.abs(avatar.target_positions[0]).max(1).reshape(2, -1)
    np.testing.assert_allclose(teeth, face / 2, atol=1e-7)
    written = play(avatar, [[1, 0], [0.5, 1]], tmp_path / "out.glb")
    np.testing.assert_allclose(written[0], [[1, 0, 0], [0.75, 0.5, 0]])
    np.testing.assert_allclose(written[1], [[0.5], [0.25]])


def test_a_vrm_says_who_made_it_and_what_is_allowed(tmp_path):
    file = HeadFile([("aa",)])
    file.gltf.asset.copyright = None
    meta = {"authors": ["Robin", "Kim"], "licenseUrl": "https://vrm.dev/licenses/1.0/"}
    file.gltf.extensions = {"VRMC_vrm": {"meta": meta}}
    avatar = load_avatar(file.save(tmp_path / "a.glb"))
    assert (avatar.author, avatar.license) == ("Robin, Kim", "https://vrm.dev/licenses/1.0/")


def test_a_file_without_a_scene_shows_its_roots(tmp_path):
    file = HeadFile([("jawOpen",)])
    file.add_root(translation=[0.0, 1.0, 0.0])
    file.gltf.scenes, file.gltf.scene = [], None
    np.testing.assert_allclose(load_avatar(file.save(tmp_path / "a.glb")).positions[:, 1].mean(), 1, atol=1e-5)


def test_blend_shape_groups_of_an_old_vrm_are_controls_too(tmp_path):
    file = HeadFile([("m0", "m1")])
    groups = [
        {"name": "Joy", "presetName": "joy", "binds": [{"mesh": 0, "index": 1, "weight": 50}]},
        {"name": "BrowDownLeft", "presetName": "unknown", "binds": [{"mesh": 0, "index": 0, "weight": 100}]},
    ]
    file.gltf.extensions = {"VRM": {"blendShapeMaster": {"blendShapeGroups": groups}}}
    avatar = load_avatar(file.save(tmp_path / "a.glb"))
    assert avatar.target_names == ("BrowDownLeft", "joy")
    np.testing.assert_allclose(play(avatar, [[0.75, 1]], tmp_path / "out.glb")[0], [[0.75, 0.5]])


def refusal(path):
    with pytest.raises(AvatarError) as caught:
        load_avatar(path)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and path.name in text
    return text


def test_a_foreign_rig_is_refused_with_what_it_has_and_what_is_expected(tmp_path):
    text = refusal(HeadFile([[f"Shape{k}" for k in range(12)]]).save(tmp_path / "a.glb"))
    assert "none of its 12 morph targets" in text and "Shape0, Shape1" in text and "4 more" in text
    assert "jawOpen" in text and "blinkLeft" in text


def test_targets_without_names_are_refused(tmp_path):
    file = HeadFile()
    file.gltf.meshes[0].extras = {}
    assert "its morph targets have no names" in refusal(file.save(tmp_path / "a.glb"))


def test_three_million_vertices_are_refused_before_their_data_are_read(tmp_path):
    file = HeadFile()
    for accessor in file.gltf.accessors:
        accessor.count = 3_000_000
    path = file.save(tmp_path / "a.glb")
    with path.open("ab") as end:
        end.truncate(2 * 1024**3)
    tracemalloc.start()
    try:
        assert "3,000,000 vertices and at most 200,000" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def described(path, change):
    """Rewrite a GLB's JSON in place, whatever becomes of it."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    description = json.loads(data[20 : 20 + length])
    change(description)
    text = json.dumps(description).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    head = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON")
    path.write_bytes(head + text + rest)
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["accessors"][3].update(count=5), "morph target eyeLookDownLeft has 5 vertices where its mesh has"),
        (lambda d: d["accessors"][0].update(bufferView=900), "damaged"),
        (lambda d: d["accessors"][1].update(bufferView=0), "a triangle names vertex"),
        (lambda d: d["meshes"][0]["primitives"][0]["attributes"].clear(), "damaged"),
        (lambda d: d["meshes"][0].update(weights=[float("nan")]), "NaN is no number"),
        (lambda d: d["nodes"][0].update(mesh=7), "damaged"),
        (lambda d: d["meshes"][0]["primitives"][0]["attributes"].update(NORMAL=1), "NORMAL has 2304 values for 408"),
        (lambda d: d.update(buffers=[{"uri": "head.bin", "byteLength": 4}]), "in other files"),
        (lambda d: d.update(extensionsRequired=["KHR_draco_mesh_compression"]), "KHR_draco_mesh_compression"),
        (lambda d: d["meshes"][0]["extras"].update(correctives={"jawOpen": 3}), "list of controls is damaged"),
        (lambda d: d.update(extensions={"VRMC_vrm": {"expressions": {"preset": {"aa": 3}}}}), "list of controls"),
        (
            lambda d: d.update(
                extensions={"VRM": {"blendShapeMaster": {"blendShapeGroups": [{"binds": [{"mesh": 0, "index": 99}]}]}}}
            ),
            "expression None names a morph target that is not there",
        ),
    ],
)
def test_a_file_that_contradicts_itself_is_refused_in_one_sentence(change, words, tmp_path):
    text = refusal(described(HeadFile().save(tmp_path / "a.glb"), change))
    assert words in text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"solid cube", "not a glTF 2.0 binary"),
        (b"glTF\2\0\0\0\xff\0\0\0\x10\0\0\0JSON", "cut short"),
    ],
)
def test_what_is_no_glb_is_refused(data, words, tmp_path):
    (tmp_path / "a.glb").write_bytes(data)
    assert words in refusal(tmp_path / "a.glb")


def test_values_that_are_not_numbers_are_refused(tmp_path):
    file = HeadFile()
    start = file.gltf.bufferViews[2].byteOffset
    file.data = file.data[:start] + struct.pack("<f", float("nan")) + file.data[start + 4 :]
    assert "not a finite number" in refusal(file.save(tmp_path / "a.glb"))
