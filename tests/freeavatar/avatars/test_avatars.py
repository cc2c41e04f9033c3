import cv2
import numpy as np
import pygltflib
import pytest

from freeavatar.avatars import DEFAULT_AVATAR, builtin_avatars, load_avatar, portrait_of
from freeavatar.errors import AvatarError
from freeavatar.render.preview import PORTRAIT_SIZE
from freeavatar.rig import ARKIT

OWN_RIGS = {"moss": 39, "pip": 16}
"""Avatars with controls of their own, and how many."""


@pytest.fixture(scope="module", params=builtin_avatars())
def avatar(request):
    return load_avatar(request.param)


@pytest.fixture(scope="module", params=[name for name in builtin_avatars() if name not in OWN_RIGS])
def person(request):
    return load_avatar(request.param)


def target(avatar, blendshape):
    """Displacements of the control that follows a blendshape alone."""
    return avatar.target_positions[avatar.target_names.index(blendshape)]


def test_nine_avatars_ship_and_the_default_is_one():
    assert len(builtin_avatars()) == 9
    assert builtin_avatars()[0] == DEFAULT_AVATAR


def test_built_in_avatars_are_small_free_and_have_a_portrait(avatar):
    assert avatar.path.stat().st_size < 3.5e6
    assert avatar.license == "CC0-1.0" and "MakeHuman" in avatar.author
    height, width = cv2.imread(str(portrait_of(avatar.name))).shape[:2]
    assert (height, width) == PORTRAIT_SIZE


def test_people_carry_all_arkit_targets(person):
    assert set(person.target_names) == set(ARKIT)
    assert not person.unused_targets


@pytest.mark.parametrize("name", OWN_RIGS)
def test_other_rigs_follow_arkit_by_a_map_of_their_own(name):
    avatar = load_avatar(name)
    assert len(avatar.target_names) == OWN_RIGS[name] and not set(avatar.target_names) & set(ARKIT)
    smile, jaw, blink = (np.zeros((1, 52), np.float32) for _ in range(3))
    for pose, names in (
        (smile, ("mouthSmileLeft", "mouthSmileRight")),
        (jaw, ("jawOpen",)),
        (blink, ("eyeBlinkLeft",)),
    ):
        pose[0, [ARKIT.index(n) for n in names]] = 1
    moved = [np.tensordot(avatar.control_weights(p)[0], avatar.target_positions[: len(avatar.target_names)], 1) for p in
             (smile, jaw, blink)]  # fmt: skip
    assert all(np.linalg.norm(m, axis=1).max() > 5e-3 for m in moved)
    assert (moved[2][:, 1] < -2e-3).any() and avatar.positions[moved[2][:, 1] < -2e-3, 0].min() > 0


def test_correctives_join_their_controls_and_rest_with_either_alone(avatar):
    assert avatar.correctives
    weights = np.eye(len(avatar.target_names), dtype=np.float32)
    np.testing.assert_array_equal(avatar.corrective_weights(weights), 0)
    for k, corrective in enumerate(avatar.correctives):
        both = np.zeros((1, len(avatar.target_names)), np.float32)
        both[0, [avatar.target_names.index(name) for name in corrective.controls]] = 0.5
        assert avatar.corrective_weights(both)[0, k] == 0.25


def test_half_closed_lids_keep_off_the_eyeballs(person):
    """With its corrective, no lid vertex in front of an eyeball lies inside it, on the way of a blink."""
    centre, radius = eyeball(person)
    skin = person.material == next(k for k, m in enumerate(person.materials) if m.name == "skin")
    weights = np.zeros((1, len(person.target_names)), np.float32)
    weights[0, person.target_names.index("eyeBlinkLeft")] = 0.5
    shape = np.concatenate([weights, person.corrective_weights(weights)], axis=1)[0]
    lids = (person.positions + np.tensordot(shape, person.target_positions, 1))[skin]
    near = (np.abs(lids[:, :2] - centre[:2]) < radius * 0.7).all(1) & (lids[:, 2] > centre[2] + 0.3 * radius)
    assert near.any() and (np.linalg.norm(lids[near] - centre, axis=1) > 0.999 * radius).all()


def eyeball(avatar):
    """Centre ``(3,)`` and radius of the left eyeball, least squares on what is not the cornea."""
    eyes = next(k for k, m in enumerate(avatar.materials) if m.name == "eyes")
    ball = avatar.positions[(avatar.material == eyes) & (avatar.positions[:, 0] > 0)]
    ball = ball[ball[:, 2] < np.quantile(ball[:, 2], 0.6)].astype(float)
    solution = np.linalg.lstsq(np.c_[2 * ball, np.ones(len(ball))], (ball**2).sum(1), rcond=None)[0]
    return solution[:3], float(np.sqrt(solution[3] + solution[:3] @ solution[:3]))


def test_every_target_moves_something_and_only_the_face(avatar):
    reach = np.linalg.norm(avatar.target_positions, axis=2)
    assert (reach.max(1) > 5e-4).all()
    assert (reach[:, avatar.head_weight < 0.02] < 5e-3).all()


def test_normals_are_unit_long_with_and_without_targets(avatar):
    np.testing.assert_allclose(np.linalg.norm(avatar.normals, axis=1), 1, atol=1e-3)
    jaw = int(np.argmax(np.linalg.norm(avatar.target_positions[: len(avatar.target_names)], axis=2).sum(1)))
    moved = avatar.normals + avatar.target_normals[jaw]
    assert np.abs(np.linalg.norm(moved, axis=1) - 1).max() < 0.08


def test_left_targets_move_the_actors_left(person):
    for name in ("eyeBlink", "mouthSmile", "browDown", "eyeSquint", "noseSneer"):
        for side, sign in (("Left", 1), ("Right", -1)):
            reach = np.linalg.norm(target(person, name + side), axis=1)
            assert (person.positions[:, 0] * reach).sum() / reach.sum() * sign > 0.005, name + side


def test_a_blink_covers_the_eye_from_the_front(person):
    """No lid vertex of a closed eye lies inside the eyeball's front."""
    centre, radius = eyeball(person)
    skin = person.material == next(k for k, m in enumerate(person.materials) if m.name == "skin")
    lids = (person.positions + target(person, "eyeBlinkLeft"))[skin]
    near = (np.abs(lids[:, :2] - centre[:2]) < radius * 0.7).all(1) & (lids[:, 2] > centre[2] + 0.3 * radius)
    assert near.any() and (np.linalg.norm(lids[near] - centre, axis=1) > radius).all()


def test_an_unknown_name_lists_the_avatars_there_are():
    with pytest.raises(AvatarError, match=DEFAULT_AVATAR):
        load_avatar("nobody")


def test_a_missing_and_a_truncated_glb_are_refused(tmp_path):
    with pytest.raises(AvatarError, match="a name listed by `avatars`"):
        load_avatar(tmp_path / "gone.glb")
    data = load_avatar(DEFAULT_AVATAR).path.read_bytes()
    broken = tmp_path / "broken.glb"
    broken.write_bytes(data[: len(data) // 2])
    with pytest.raises(AvatarError, match="cut short"):
        load_avatar(broken)


def test_a_glb_without_morph_targets_is_refused(tmp_path):
    gltf = pygltflib.GLTF2().load_binary(str(load_avatar(DEFAULT_AVATAR).path))
    for primitive in gltf.meshes[0].primitives:
        primitive.targets = []
    gltf.meshes[0].extras = {}
    gltf.save_binary(str(tmp_path / "still.glb"))
    with pytest.raises(AvatarError, match="no mesh has named morph targets"):
        load_avatar(tmp_path / "still.glb")


@pytest.fixture
def ines():
    return pygltflib.GLTF2().load_binary(str(load_avatar("ines").path))


def add_parent(gltf, node, **placement):
    """Hang a root node of the file below a new one; returns its index."""
    gltf.nodes.append(pygltflib.Node(children=[node], **placement))
    gltf.scenes[0].nodes = [len(gltf.nodes) - 1 if n == node else n for n in gltf.scenes[0].nodes]
    return len(gltf.nodes) - 1


def saved(gltf, path):
    gltf.save_binary(str(path))
    return path


def test_a_skinned_mesh_follows_its_joints_not_its_node(ines, tmp_path):
    ines.nodes[0].translation, ines.nodes[0].scale = [5.0, 0.0, 0.0], [0.01, 0.01, 0.01]
    moved = load_avatar(saved(ines, tmp_path / "moved.glb"))
    np.testing.assert_allclose(moved.positions, load_avatar("ines").positions, atol=1e-6)


def test_a_mesh_without_a_skin_is_placed_by_its_node_and_turns_about_it(ines, tmp_path):
    ines.nodes[0].skin, ines.skins = None, []
    neck = load_avatar("ines").head_pivot
    ines.nodes[0].translation = (-neck).tolist()
    centred = load_avatar("ines").positions - neck
    root = add_parent(ines, 0, translation=[0.0, 0.0, 1.0])
    rigid = load_avatar(saved(ines, tmp_path / "rigid.glb"))
    np.testing.assert_allclose(rigid.positions, centred + [0, 0, 1], atol=1e-5)
    assert (rigid.head_weight == 1).all() and rigid.head_names == ("node 3",) and not rigid.has_head_joint
    np.testing.assert_allclose(rigid.head_pivot, ines.nodes[root].translation, atol=1e-6)


def test_a_node_whose_origin_is_at_the_feet_turns_about_the_neck(ines, tmp_path):
    ines.nodes[0].skin, ines.skins = None, []
    ines.nodes[0].translation = [0.0, 1.0, 0.0]
    rigid = load_avatar(saved(ines, tmp_path / "rigid.glb"))
    np.testing.assert_allclose(rigid.head_pivot, load_avatar("ines").head_pivot + [0, 1, 0], atol=0.07)


def test_a_file_that_needs_an_unknown_extension_is_refused_by_its_name(ines, tmp_path):
    ines.extensionsRequired = ines.extensionsUsed = ["KHR_draco_mesh_compression"]
    with pytest.raises(AvatarError, match="KHR_draco_mesh_compression"):
        load_avatar(saved(ines, tmp_path / "draco.glb"))


def test_a_target_of_the_wrong_length_is_refused_by_its_name(ines, tmp_path):
    ines.accessors[ines.meshes[0].primitives[0].targets[3]["POSITION"]].count -= 1
    with pytest.raises(AvatarError, match="morph target browOuterUpLeft has"):
        load_avatar(saved(ines, tmp_path / "short.glb"))


def test_an_index_beyond_signed_integers_is_refused(ines, tmp_path):
    index = ines.accessors[ines.meshes[0].primitives[0].indices]
    view = ines.bufferViews[index.bufferView]
    data = bytearray(ines.binary_blob())
    index.componentType, index.count = pygltflib.UNSIGNED_INT, 3
    data[view.byteOffset : view.byteOffset + 12] = np.array([0, 1, 2**32 - 16], "<u4").tobytes()
    ines.set_binary_blob(bytes(data))
    with pytest.raises(AvatarError, match="a triangle names vertex 4294967280"):
        load_avatar(saved(ines, tmp_path / "wild.glb"))


def test_a_head_joint_that_carries_nothing_still_gives_a_camera(ines, tmp_path):
    ines.nodes.append(pygltflib.Node(name="nothing"))
    ines.scenes[0].nodes.append(len(ines.nodes) - 1)
    ines.extensions = {"VRMC_vrm": {"humanoid": {"humanBones": {"head": {"node": len(ines.nodes) - 1}}}}}
    ines.extensionsUsed = ["VRMC_vrm"]
    low, high = load_avatar(saved(ines, tmp_path / "loose.glb")).head_box
    assert (high > low).all()
