"""Animated GLB: the animation read back, shared meshes, head nodes, refusals and atomicity."""

import json
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pygltflib import (
    GLTF2,
    Accessor,
    Animation,
    AnimationChannel,
    AnimationChannelTarget,
    AnimationSampler,
    Attributes,
    Buffer,
    BufferView,
    Mesh,
    Node,
    Primitive,
    Scene,
    Skin,
)

from freeavatar.avatars.gltf import open_glb, write_glb
from freeavatar.errors import AvatarError, InputError
from freeavatar.export import write_animated_glb
from freeavatar.rig import Controls
from freeavatar.rotation import head_quaternion, inverse, multiply

TARGETS = ("jawOpen", "browInnerUp", "ownShape")
CUBE = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
FACES = np.array(
    [
        0,
        1,
        3,
        0,
        3,
        2,
        4,
        6,
        7,
        4,
        7,
        5,
        0,
        4,
        5,
        0,
        5,
        1,
        2,
        3,
        7,
        2,
        7,
        6,
        0,
        2,
        6,
        0,
        6,
        4,
        1,
        5,
        7,
        1,
        7,
        3,
    ],
    np.uint16,
)


def build_avatar(
    path: Path,
    *,
    meshes: tuple[tuple[str, ...], ...] = (TARGETS,),
    nodes: list[Node] | None = None,
    skins: list[Skin] | None = None,
) -> Path:
    """A cube for each mesh, its targets the cube moved along y; by default a node for each mesh."""
    gltf, data = GLTF2(scene=0), b""

    def add(array: np.ndarray, kind: str, component: int, *, target: int) -> int:
        nonlocal data
        gltf.bufferViews.append(BufferView(buffer=0, byteOffset=len(data), byteLength=array.nbytes, target=target))
        data += array.tobytes()
        bounds = {} if kind == "SCALAR" else {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        accessor = Accessor(
            bufferView=len(gltf.bufferViews) - 1,
            componentType=component,
            count=len(array),
            type=kind,
            **bounds,
        )
        gltf.accessors.append(accessor)
        return len(gltf.accessors) - 1

    indices = add(FACES, "SCALAR", 5123, target=34963)
    for names in meshes:
        position = add(CUBE, "VEC3", 5126, target=34962)
        shifts = [np.broadcast_to(np.array([0, 0.1 * (i + 1), 0], np.float32), CUBE.shape) for i in range(len(names))]
        targets = [Attributes(POSITION=add(s.copy(), "VEC3", 5126, target=34962)) for s in shifts]
        primitive = Primitive(attributes=Attributes(POSITION=position), indices=indices, targets=targets)
        weights = [0.25] * len(names)
        gltf.meshes.append(Mesh(primitives=[primitive], weights=weights, extras={"targetNames": [*names]}))
    gltf.nodes = nodes or [Node(mesh=i, name=f"part{i}") for i in range(len(meshes))]
    gltf.skins = skins or []
    children = {child for node in gltf.nodes for child in node.children}
    gltf.scenes = [Scene(nodes=[i for i in range(len(gltf.nodes)) if i not in children])]
    gltf.buffers = [Buffer(byteLength=len(data))]
    gltf.set_binary_blob(data)
    gltf.save(path)
    return path


def perform(*, names: tuple[str, ...] = ("browInnerUp", "jawOpen", "tongueOut"), frames: int = 7) -> Controls:
    random = np.random.default_rng(0)
    return Controls(
        avatar="cube",
        names=names,
        weights=random.random((frames, len(names)), np.float32),
        times=np.arange(frames) * 1001 / 30000,
        rate=Fraction(30000, 1001),
        head=random.uniform(-40, 40, (frames, 3)).astype(np.float32),
        confidence=np.ones(frames, np.float32),
    )


def read_accessor(gltf: GLTF2, index: int) -> np.ndarray:
    accessor = gltf.accessors[index]
    assert accessor.componentType == 5126
    width = {"SCALAR": 1, "VEC4": 4}[accessor.type]
    offset = gltf.bufferViews[accessor.bufferView].byteOffset
    values = np.frombuffer(gltf.binary_blob(), "<f4", accessor.count * width, offset)
    return values if width == 1 else values.reshape(-1, width)


def split_glb(path: Path) -> tuple[dict, bytes]:
    """JSON and binary chunk, read without the library that wrote them."""
    data = path.read_bytes()
    magic, version, size, length, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, size, kind) == (b"glTF", 2, len(data), b"JSON") and length % 4 == 0
    binary, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert kind == b"BIN\0" and binary % 4 == 0 and 28 + length + binary == size
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def tracks(path: Path, target: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Times and values of each node's channel of that path."""
    gltf = GLTF2.load(path)
    (animation,) = gltf.animations
    samplers = {c.target.node: animation.samplers[c.sampler] for c in animation.channels if c.target.path == target}
    assert all(sampler.interpolation == "LINEAR" for sampler in samplers.values())
    return {node: (read_accessor(gltf, s.input), read_accessor(gltf, s.output)) for node, s in samplers.items()}


def test_animation_evaluates_to_the_performance(tmp_path: Path) -> None:
    performance = perform()
    write_animated_glb(build_avatar(tmp_path / "cube.glb"), performance, tmp_path / "take one.glb")
    ((node, (times, values)),) = tracks(tmp_path / "take one.glb", "weights").items()
    assert node == 0
    np.testing.assert_array_equal(times, performance.times.astype(np.float32))
    weights = values.reshape(7, 3)
    np.testing.assert_array_equal(weights[:, 0], performance.weights[:, 1])
    np.testing.assert_array_equal(weights[:, 1], performance.weights[:, 0])
    np.testing.assert_array_equal(weights[:, 2], 0)
    gltf = GLTF2.load(tmp_path / "take one.glb")
    assert gltf.animations[0].name == "take one"
    accessor = gltf.accessors[gltf.animations[0].samplers[0].input]
    assert (accessor.min, accessor.max) == ([0.0], [float(times[-1])])


def test_the_rest_of_the_file_is_kept(tmp_path: Path) -> None:
    source, out = build_avatar(tmp_path / "cube.glb"), tmp_path / "out.glb"
    gltf = GLTF2.load(source)
    gltf.extensionsUsed = ["VRMC_vrm"]
    gltf.extensions = {"VRMC_vrm": {"specVersion": "1.0", "expressions": {"preset": {}}}}
    gltf.save(source, asset=gltf.asset)
    write_animated_glb(source, perform(), out)
    (before, old), (after, new) = split_glb(source), split_glb(out)
    assert after["meshes"][0]["weights"] == [0.25, 0.25, 0.25]
    for key in ("asset", "meshes", "nodes", "scene", "scenes", "extensions", "extensionsUsed"):
        assert after[key] == before[key]
    for key in ("accessors", "bufferViews"):
        assert after[key][: len(before[key])] == before[key]
    assert new.startswith(old) and after["buffers"] == [{"byteLength": len(new)}]


def test_an_accessor_without_a_view_has_no_offset(tmp_path: Path) -> None:
    source = build_avatar(tmp_path / "cube.glb")
    gltf = GLTF2.load(source)
    gltf.accessors[2].bufferView, gltf.accessors[2].byteOffset = None, None
    gltf.save(source)
    write_animated_glb(source, perform(), tmp_path / "out.glb")
    assert "byteOffset" not in split_glb(tmp_path / "out.glb")[0]["accessors"][2]


def test_animations_of_the_avatar_are_dropped(tmp_path: Path) -> None:
    source = build_avatar(tmp_path / "cube.glb")
    gltf = GLTF2.load(source)
    channel = AnimationChannel(sampler=0, target=AnimationChannelTarget(node=0, path="weights"))
    idle = Animation(name="idle", channels=[channel], samplers=[AnimationSampler(input=0, output=0)])
    gltf.animations = [idle]
    gltf.save(source)
    write_animated_glb(source, perform(), tmp_path / "out.glb")
    assert [animation.name for animation in GLTF2.load(tmp_path / "out.glb").animations] == ["out"]


def test_meshes_that_share_names_play_together(tmp_path: Path) -> None:
    nodes = [Node(mesh=0), Node(mesh=1), Node(mesh=0), Node(mesh=2)]
    meshes = (("jawOpen", "browInnerUp"), ("browInnerUp",), ("ownShape",))
    source = build_avatar(tmp_path / "cube.glb", meshes=meshes, nodes=nodes)
    performance = perform()
    write_animated_glb(source, performance, tmp_path / "out.glb")
    found = tracks(tmp_path / "out.glb", "weights")
    assert sorted(found) == [0, 1, 2]
    both = performance.weights[:, [1, 0]]
    for node, expected in ((0, both), (1, performance.weights[:, :1]), (2, both)):
        np.testing.assert_array_equal(found[node][1], expected.ravel())
    assert len(GLTF2.load(tmp_path / "out.glb").animations[0].samplers) == 2 + 4


def test_head_turns_the_roots_when_no_node_is_named_head(tmp_path: Path) -> None:
    rest = head_quaternion(0, 90, 0)
    nodes = [Node(children=[1], rotation=rest.tolist()), Node(mesh=0)]
    performance = perform()
    write_animated_glb(build_avatar(tmp_path / "cube.glb", nodes=nodes), performance, tmp_path / "out.glb")
    ((node, (_, values)),) = tracks(tmp_path / "out.glb", "rotation").items()
    expected = multiply(head_quaternion(*performance.head.T), rest)
    assert node == 0
    np.testing.assert_allclose(np.abs((values * expected).sum(1)), 1, atol=1e-6)


def test_a_head_joint_turns_in_the_axes_of_the_world(tmp_path: Path) -> None:
    spine, rest = head_quaternion(20, -60, 5), head_quaternion(-10, 30, 80)
    nodes = [
        Node(mesh=0, skin=0, name="Face"),
        Node(children=[2], name="Spine", rotation=spine.tolist()),
        Node(name="Head", rotation=rest.tolist()),
    ]
    skins = [Skin(joints=[1, 2])]
    performance = perform()
    source = build_avatar(tmp_path / "cube.glb", nodes=nodes, skins=skins)
    write_animated_glb(source, performance, tmp_path / "out.glb")
    ((node, (_, values)),) = tracks(tmp_path / "out.glb", "rotation").items()
    turned = multiply(multiply(spine, values), inverse(multiply(spine, rest)))
    assert node == 2
    np.testing.assert_allclose(np.abs((turned * head_quaternion(*performance.head.T)).sum(1)), 1, atol=1e-6)


def test_a_head_mesh_beside_other_parts_does_not_turn_alone(tmp_path: Path) -> None:
    nodes = [Node(children=[1, 2]), Node(mesh=0, name="head"), Node(mesh=1, name="teeth")]
    source = build_avatar(tmp_path / "cube.glb", meshes=(("jawOpen",), ("jawOpen",)), nodes=nodes)
    write_animated_glb(source, perform(), tmp_path / "out.glb")
    assert list(tracks(tmp_path / "out.glb", "rotation")) == [0]


def test_a_matrix_is_split_so_that_the_node_can_turn(tmp_path: Path) -> None:
    matrix = np.array([[0, 0, 2, 5], [0, 2, 0, 6], [-2, 0, 0, 7], [0, 0, 0, 1.0]])
    nodes = [Node(mesh=0, matrix=matrix.T.ravel().tolist())]
    performance = replace(perform(frames=1), head=np.zeros((1, 3), np.float32))
    write_animated_glb(build_avatar(tmp_path / "cube.glb", nodes=nodes), performance, tmp_path / "out.glb")
    node = GLTF2.load(tmp_path / "out.glb").nodes[0]
    assert node.matrix is None and node.translation == [5, 6, 7]
    np.testing.assert_allclose(node.scale, [2, 2, 2])
    np.testing.assert_allclose(node.rotation, head_quaternion(90, 0, 0), atol=1e-12)
    np.testing.assert_allclose(tracks(tmp_path / "out.glb", "rotation")[0][1], [node.rotation], atol=1e-7)


def test_head_rotations_never_flip_sign(tmp_path: Path) -> None:
    performance = perform(frames=40)
    performance.head[:] = np.linspace(0, 720, 40)[:, None] * (1, 0, 0)
    write_animated_glb(build_avatar(tmp_path / "cube.glb"), performance, tmp_path / "out.glb")
    values = tracks(tmp_path / "out.glb", "rotation")[0][1]
    assert ((values[1:] * values[:-1]).sum(1) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)


def test_the_head_can_stay_still(tmp_path: Path) -> None:
    write_animated_glb(build_avatar(tmp_path / "cube.glb"), perform(), tmp_path / "out.glb", animate_head=False)
    assert tracks(tmp_path / "out.glb", "rotation") == {}


def test_frames_too_close_for_float32_are_refused(tmp_path: Path) -> None:
    performance = perform(frames=2)
    performance.times[:] = (1000.0, 1000.00001)
    with pytest.raises(InputError, match="too close in time for a GLB"):
        write_animated_glb(build_avatar(tmp_path / "cube.glb"), performance, tmp_path / "out.glb")


def test_an_avatar_that_cannot_be_driven_is_refused(tmp_path: Path) -> None:
    source, out = build_avatar(tmp_path / "cube.glb"), tmp_path / "out.glb"
    plain = build_avatar(tmp_path / "plain.glb", meshes=((),))
    with pytest.raises(AvatarError, match=r"plain\.glb has no morph targets"):
        write_animated_glb(plain, perform(), out)
    with pytest.raises(AvatarError, match=r"No morph target of cube\.glb has the name of a control .* smile"):
        write_animated_glb(source, perform(names=("smile",)), out)
    with pytest.raises(AvatarError, match="that exists, or a name listed"):
        write_animated_glb(tmp_path / "none.glb", perform(), out)
    assert not out.exists()


def test_a_damaged_avatar_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    whole = build_avatar(tmp_path / "cube.glb").read_bytes()
    broken, out = tmp_path / "broken.glb", tmp_path / "out.glb"
    out.write_bytes(b"old")
    shorter = struct.pack("<I", len(whole) // 2)
    for data, reason in (
        (whole[: len(whole) // 2], "cut short"),
        (whole[:8] + shorter + whole[12 : len(whole) // 2], "damaged|cut short"),
        (whole[:10], "not a glTF 2.0 binary"),
        (b"solid cube" * 9, "not a glTF 2.0 binary"),
        (whole[:20] + b"!" + whole[21:], "damaged"),
    ):
        broken.write_bytes(data)
        with pytest.raises(AvatarError, match=reason):
            write_animated_glb(broken, perform(), out)
    assert out.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"cube.glb", "broken.glb", "out.glb"}


def test_a_skeleton_that_names_missing_nodes_is_refused(tmp_path: Path) -> None:
    for skins in ([], [Skin(joints=[9])]):
        source = build_avatar(tmp_path / "cube.glb", nodes=[Node(mesh=0, skin=0)], skins=skins)
        with pytest.raises(AvatarError, match=r"The skeleton of cube\.glb names a part that the file lacks"):
            write_animated_glb(source, perform(), tmp_path / "out.glb")


def test_the_avatar_itself_can_be_replaced(tmp_path: Path) -> None:
    source = build_avatar(tmp_path / "cube.glb")
    write_animated_glb(source, perform(), source)
    assert len(GLTF2.load(source).animations) == 1 and list(tmp_path.iterdir()) == [source]


def test_what_is_not_understood_is_kept(tmp_path: Path) -> None:
    source = build_avatar(tmp_path / "cube.glb")
    gltf = open_glb(source)
    gltf.nodes[0].weights = [0.5] * len(TARGETS)
    gltf.nodes[0].extensions = {"ACME_strange": {"depth": [1, {"more": None}]}}
    gltf.extensionsUsed = ["ACME_strange"]
    gltf.asset.generator = "hand"
    write_glb(gltf, gltf.data, source)
    write_animated_glb(source, perform(), tmp_path / "out.glb")
    kept = open_glb(tmp_path / "out.glb")
    assert kept.nodes[0] == gltf.nodes[0] and kept.asset == gltf.asset and kept.extensionsUsed == ["ACME_strange"]
    assert kept.meshes == gltf.meshes and len(kept.animations) == 1
