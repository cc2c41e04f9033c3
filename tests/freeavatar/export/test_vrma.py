"""VRM animation: the file read as the specification has it, without the code that wrote it."""

import json
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pygltflib import GLTF2

from freeavatar.avatars import load_avatar
from freeavatar.errors import InputError
from freeavatar.export import SINKS, Moment, Output, write_vrma
from freeavatar.rig import ARKIT, Curves
from freeavatar.rotation import quaternion_matrix
from tests.heads import HeadFile

REQUIRED = {"hips", "spine", "head"} | {
    side + bone
    for side in ("left", "right")
    for bone in ("UpperLeg", "LowerLeg", "Foot", "UpperArm", "LowerArm", "Hand")
}
"""Bones that VRM 1.0 asks of every humanoid."""


def perform(*, frames: int = 6, **weights: float) -> Curves:
    """Heads that turn at random, and a face that goes from rest to ``weights``."""
    ramp = np.linspace(0, 1, frames)[:, None]
    return Curves(
        weights=(ramp * [weights.get(name, 0.0) for name in ARKIT]).astype(np.float32),
        times=np.arange(frames) / 25,
        rate=Fraction(25),
        head=np.random.default_rng(0).uniform(-40, 40, (frames, 3)).astype(np.float32),
        confidence=np.ones(frames, np.float32),
        cuts=np.zeros(frames, bool),
    )


class Played:
    """What a player makes of a file."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        (length,) = struct.unpack_from("<I", data, 12)
        self.gltf, self.binary = json.loads(data[20 : 20 + length]), data[28 + length :]
        assert self.gltf["extensionsUsed"] == ["VRMC_vrm_animation"]
        self.extension = self.gltf["extensions"]["VRMC_vrm_animation"]

    def numbers(self, index: int) -> np.ndarray:
        accessor = self.gltf["accessors"][index]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        start = self.gltf["bufferViews"][accessor["bufferView"]]["byteOffset"]
        return np.frombuffer(self.binary, "<f4", accessor["count"] * width, start).reshape(-1, width)

    def keys(self, node: int, path: str) -> tuple[np.ndarray, np.ndarray]:
        (animation,) = self.gltf["animations"]
        (sampler,) = [
            animation["samplers"][c["sampler"]]
            for c in animation["channels"]
            if c["target"] == {"node": node, "path": path}
        ]
        return self.numbers(sampler["input"])[:, 0], self.numbers(sampler["output"])

    def bone(self, name: str) -> np.ndarray:
        return self.keys(self.extension["humanoid"]["humanBones"][name]["node"], "rotation")[1]

    def expression(self, kind: str, name: str) -> np.ndarray:
        places = self.keys(self.extension["expressions"][kind][name]["node"], "translation")[1]
        assert not places[:, 1:].any()
        return places[:, 0]


def written(curves: Curves, folder: Path, **options: bool) -> Played:
    write_vrma(curves, folder / "a.vrma", **options)
    return Played(folder / "a.vrma")


def test_a_humanoid_stands_in_a_t_pose(tmp_path: Path) -> None:
    played = written(perform(), tmp_path)
    bones = {name: item["node"] for name, item in played.extension["humanoid"]["humanBones"].items()}
    assert played.extension["specVersion"] == "1.0" and bones.keys() == REQUIRED | {"neck"}
    nodes, parents = played.gltf["nodes"], {}
    for index, node in enumerate(played.gltf["nodes"]):
        parents |= dict.fromkeys(node.get("children", ()), index)
        assert not {"rotation", "scale", "matrix", "mesh"} & node.keys()

    def world(node: int) -> np.ndarray:
        return np.add(nodes[node]["translation"], world(parents[node]) if node in parents else 0)

    places = {name: world(node) for name, node in bones.items()}
    assert places["head"][1] > places["neck"][1] > places["spine"][1] > places["hips"][1] > places["leftFoot"][1] > 0
    assert places["leftHand"][0] > places["leftUpperArm"][0] > 0  # it faces +Z, so its left is +X
    np.testing.assert_allclose(places["leftHand"][1:], places["leftUpperArm"][1:])
    np.testing.assert_allclose(places["rightHand"], places["leftHand"] * (-1, 1, 1))


def test_neck_and_head_turn_together_as_the_head_does(tmp_path: Path) -> None:
    curves = perform()
    played = written(curves, tmp_path)
    turned = quaternion_matrix(played.bone("neck")) @ quaternion_matrix(played.bone("head"))
    yaw, pitch, roll = np.radians(curves.head.T)
    nose = np.stack([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)], axis=1)
    np.testing.assert_allclose(turned @ (0, 0, 1), nose, atol=1e-5)
    across = turned @ (1, 0, 0)
    np.testing.assert_allclose(across[:, 1], -np.sin(roll) * np.cos(pitch), atol=1e-5)
    angle = 2 * np.arccos(np.clip([np.abs(played.bone(name)[:, 3]) for name in ("neck", "head")], 0, 1))
    assert (angle[0] < angle[1]).all()


def test_arkits_expressions_hold_the_curves(tmp_path: Path) -> None:
    curves = perform(jawOpen=0.8, tongueOut=0.3)
    played = written(curves, tmp_path)
    assert tuple(played.extension["expressions"]["custom"]) == ARKIT
    for index, name in enumerate(ARKIT):
        np.testing.assert_array_equal(played.expression("custom", name), curves.weights[:, index])
    times, _ = played.keys(played.extension["expressions"]["custom"]["jawOpen"]["node"], "translation")
    np.testing.assert_array_equal(times, curves.times.astype(np.float32))


def test_presets_follow_the_curves(tmp_path: Path) -> None:
    face = dict(jawOpen=0.6, mouthSmileLeft=0.8, mouthSmileRight=0.8, browInnerUp=1.0)
    played = written(perform(**face), tmp_path)
    assert played.extension["expressions"]["preset"].keys() == {
        "aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft", "blinkRight", "happy", "angry", "sad", "surprised",
        "relaxed",
    }  # fmt: skip
    last = {name: played.expression("preset", name)[-1] for name in played.extension["expressions"]["preset"]}
    assert last["aa"] == pytest.approx(0.78) and last["happy"] == pytest.approx(0.72)
    assert last["surprised"] == pytest.approx(0.2) and last["ou"] == last["angry"] == 0


def test_lids_that_close_together_blink_and_one_alone_does_not(tmp_path: Path) -> None:
    played = written(perform(eyeBlinkLeft=0.9, eyeBlinkRight=0.3), tmp_path)
    last = [played.expression("preset", name)[-1] for name in ("blink", "blinkLeft", "blinkRight")]
    np.testing.assert_allclose(last, [0.3, 0.6, 0], atol=1e-6)


def test_the_gaze_turns_to_the_actors_left_by_positive_yaw_and_down_by_positive_pitch(tmp_path: Path) -> None:
    played = written(perform(eyeLookOutLeft=0.5, eyeLookInRight=0.5, eyeLookDownLeft=1, eyeLookDownRight=1), tmp_path)
    _, turns = played.keys(played.extension["lookAt"]["node"], "rotation")
    gaze = quaternion_matrix(turns) @ (0, 0, 1)
    np.testing.assert_allclose(gaze[0], (0, 0, 1), atol=1e-7)
    yaw, pitch = np.radians([17.5, 35])
    np.testing.assert_allclose(
        gaze[-1], (np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)), atol=1e-6
    )


def test_the_head_can_stay_still(tmp_path: Path) -> None:
    played = written(perform(), tmp_path, animate_head=False)
    moved = {channel["target"]["node"] for channel in played.gltf["animations"][0]["channels"]}
    assert not moved & {item["node"] for item in played.extension["humanoid"]["humanBones"].values()}


def test_an_avatar_with_arkits_expressions_gets_no_presets_beside_them(tmp_path: Path) -> None:
    for name, extensions in (("plain", {}), ("perfect", {"VRMC_vrm": {"specVersion": "1.0"}})):
        file = HeadFile()
        file.gltf.extensions = extensions
        avatar = load_avatar(file.save(tmp_path / f"{name}.glb"))
        output = Output(avatar, tmp_path / f"{name}.vrma", Fraction(25), (64, 64))
        curves = perform(frames=1)
        with SINKS["vrma"](output) as sink:
            sink.write(Moment(0.0, curves.weights[0], curves.head[0], 1.0, curves.weights[0], np.empty(0)))
        expressions = Played(output.path).extension["expressions"]
        assert bool(expressions["preset"]) == (name == "plain") and len(expressions["custom"]) == 52


def test_another_reader_finds_the_same_keys(tmp_path: Path) -> None:
    write_vrma(perform(), tmp_path / "a.vrma")
    gltf = GLTF2().load_binary(str(tmp_path / "a.vrma"))
    assert len(gltf.animations[0].channels) == 2 + 1 + 13 + 52 and len(gltf.nodes) == 16 + 1 + 13 + 52


def test_curves_without_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no frames"):
        write_vrma(perform(frames=6).part(slice(0)), tmp_path / "a.vrma")
