"""What turns a head: joints, nodes, several roots; the picture and the animated GLB agree."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from pygltflib import GLTF2, Node, Skin

from freeavatar.avatars.glb import read_glb
from freeavatar.export import write_animated_glb
from freeavatar.render import Renderer
from freeavatar.rig import Controls
from tests.heads import HeadFile, egg

HEAD = np.array([[35, -20, 10], [-15, 25, 5]], np.float32)


def values_of(gltf, index):
    accessor = gltf.accessors[index]
    view = gltf.bufferViews[accessor.bufferView]
    return np.frombuffer(gltf.binary_blob(), "<f4", view.byteLength // 4, view.byteOffset).reshape(accessor.count, -1)


def played(avatar, frame, folder):
    """Where the animated GLB puts the vertices at a frame, ``(V, 3)``, read back as a still file."""
    performance = Controls(
        avatar=avatar.name, names=avatar.target_names, weights=np.zeros((2, len(avatar.target_names)), np.float32),
        times=np.arange(2) / 25, rate=Fraction(25), head=HEAD, confidence=np.ones(2, np.float32),
    )  # fmt: skip
    write_animated_glb(avatar.path, performance, folder / "played.glb")
    gltf = GLTF2.load(str(folder / "played.glb"))
    for channel in gltf.animations[0].channels:
        if channel.target.path != "weights":
            value = values_of(gltf, gltf.animations[0].samplers[channel.sampler].output)[frame]
            setattr(gltf.nodes[channel.target.node], channel.target.path, value.tolist())
    gltf.save_binary(str(folder / "still.glb"))
    return read_glb(folder / "still.glb").positions


def agree(avatar, folder):
    """Check that both agree on every frame; returns how far the head turned vertices go."""
    renderer = Renderer(avatar)
    rest = torch.zeros(2, len(avatar.target_names))
    places = renderer.deform(rest, HEAD)[0].numpy()
    for frame in range(2):
        np.testing.assert_allclose(played(avatar, frame, folder), places[frame], atol=2e-6)
    return np.linalg.norm(places - avatar.positions, axis=2).max(0)


def skinned(names, *, parents=None):
    """A head on a chain of joints at heights -0.2, -0.1, ...; its vertices follow the last but one or the last."""
    file = HeadFile([("jawOpen",)])
    count = len(egg()[0])
    heights = np.array([-0.2 + 0.1 * k for k in range(len(names))])
    bind = np.tile(np.eye(4, dtype=np.float32), (len(names), 1, 1))
    bind[:, 3, 1] = -heights
    first = len(file.gltf.nodes)
    for k, name in enumerate(names):
        step = heights[k] - (heights[k - 1] if k else 0)
        children = [first + k + 1] if k + 1 < len(names) else []
        file.gltf.nodes.append(Node(name=name, translation=[0.0, float(step), 0.0], children=children))
    follows = np.where(egg()[0][:, 1] > -0.06, len(names) - 1, len(names) - 2)
    joints = np.stack([follows, *[np.zeros(count)] * 3], axis=1).astype(np.uint8)
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    attributes = file.gltf.meshes[0].primitives[0].attributes
    attributes.JOINTS_0, attributes.WEIGHTS_0 = file.add(joints, "VEC4"), file.add(weights, "VEC4")
    inverse = file.add(bind.reshape(-1, 16), "MAT4")
    file.gltf.skins = [Skin(joints=list(range(first, first + len(names))), inverseBindMatrices=inverse)]
    file.gltf.nodes[0].skin = 0
    file.gltf.scenes[0].nodes.append(first)
    return file


@pytest.mark.parametrize(
    "names",
    [
        ("Chest", "Neck", "Head"),
        ("chest", "neck_01", "mixamorig:Head"),
        ("Bip01", "Bip01 Neck", "Bip01 Head"),
        ("J_Bip_C_Chest", "J_Bip_C_Neck", "J_Bip_C_Head"),
        ("root", "head_end", "head.x"),
    ],
)
def test_the_head_joint_turns_and_what_hangs_from_the_neck_stays(names, tmp_path):
    avatar = read_glb(skinned(names).save(tmp_path / "a.glb"))
    assert avatar.head_names == names[-1:] and avatar.has_head_joint
    np.testing.assert_allclose(avatar.head_pivot, [0, 0, 0], atol=1e-6)
    moved = agree(avatar, tmp_path)
    upper = egg()[0][:, 1] > -0.06
    assert (moved[~upper] == 0).all() and moved[upper].max() > 0.05


def test_a_vrm_says_which_joint_is_the_head(tmp_path):
    file = skinned(("a", "b", "c"))
    file.gltf.extensions = {"VRMC_vrm": {"humanoid": {"humanBones": {"head": {"node": 3}}}}}
    avatar = read_glb(file.save(tmp_path / "a.glb"))
    assert avatar.head_names == ("c",) and avatar.has_head_joint


def test_a_skeleton_without_a_head_turns_as_a_whole(tmp_path):
    avatar = read_glb(skinned(("a", "b", "c")).save(tmp_path / "a.glb"))
    assert avatar.head_names == ("a",) and not avatar.has_head_joint and (avatar.head_weight == 1).all()
    agree(avatar, tmp_path)


def parts():
    """A face at eye height, eyes and a body, each a root of its own with its own origin."""
    file = HeadFile([("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")])
    points, triangles = egg(7, 8)
    file.gltf.nodes[0].name, file.gltf.nodes[0].translation = "face", [0.0, 1.6, 0.0]
    for name, place, scale in (("eye", [0.03, 1.63, 0.08], 0.1), ("body", [0.0, 1.0, 0.0], 2.0)):
        node = file.add_mesh(points * np.float32(scale), triangles, (), [])
        file.gltf.nodes[node].name, file.gltf.nodes[node].translation = name, place
    return file


def test_roots_within_the_face_turn_with_it_about_one_point_and_the_body_stays(tmp_path):
    avatar = read_glb(parts().save(tmp_path / "a.glb"))
    assert avatar.head_names == ("face", "eye")
    np.testing.assert_allclose(avatar.head_pivot, [0, 1.6, 0], atol=1e-6)
    moved = agree(avatar, tmp_path)
    face, body = len(egg()[0]), len(egg(7, 8)[0])
    assert moved[:face].max() > 0.05 and moved[face : face + body].min() > 0.01 and (moved[-body:] == 0).all()


def test_a_turned_and_scaled_parent_changes_nothing(tmp_path):
    file = parts()
    file.add_root(
        rotation=[0.0, np.sqrt(0.5), 0.0, np.sqrt(0.5)], scale=[10.0, 10.0, 10.0], translation=[1.0, 2.0, 3.0]
    )
    outer = Node(name="head", children=[0, 1])
    file.gltf.nodes.append(outer)
    file.gltf.nodes[3].children = [len(file.gltf.nodes) - 1, 2]
    avatar = read_glb(file.save(tmp_path / "a.glb"))
    assert avatar.head_names == ("head",)
    agree(avatar, tmp_path)


def test_a_mesh_far_from_its_origin_turns_about_its_neck(tmp_path):
    file = HeadFile([("jawOpen",)])
    file.gltf.nodes[0].translation = [0.0, 0.0, 0.0]
    points = egg()[0] + np.float32([0, 1.6, 0])
    file.gltf.accessors[0].bufferView = file.gltf.accessors[file.add(points, "VEC3")].bufferView
    avatar = read_glb(file.save(tmp_path / "a.glb"))
    np.testing.assert_allclose(avatar.head_pivot, [0, 1.48 + 0.4 * 0.24, 0], atol=1e-3)
    assert agree(avatar, tmp_path).max() < 0.2
