"""Fewer keys: within the bound at every frame, by interpolation that is not the code's own."""

from fractions import Fraction

import numpy as np
import pytest
from pygltflib import GLTF2

from freeavatar.avatars import load_avatar
from freeavatar.export import write_animated_glb, write_usd, write_vrma
from freeavatar.export.keys import needed_keys
from freeavatar.rig import ARKIT, Controls, Curves
from freeavatar.rotation import head_quaternion, quaternion_matrix
from tests.heads import HeadFile

BOUND = 0.005


def perform(frames: int = 120) -> Curves:
    """A smooth face with a blink, and a head that turns, at uneven times."""
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.06, frames))
    times -= times[0]
    weights = np.zeros((frames, 52), np.float32)
    weights[:, ARKIT.index("jawOpen")] = 0.5 - 0.5 * np.cos(3 * times)
    weights[40:43, ARKIT.index("eyeBlinkLeft")] = (0.6, 1, 0.4)
    head = np.stack([40 * np.sin(times), 20 * np.cos(2 * times), 10 * times / times[-1]], axis=1).astype(np.float32)
    return Curves(
        weights=weights, times=times, rate=Fraction(25), head=head, confidence=np.ones(frames, np.float32),
        cuts=np.zeros(frames, bool),
    )  # fmt: skip


def test_no_frame_is_off_by_more_than_the_bound_and_a_straight_line_has_two_keys():
    curves = perform()
    for bound in (0.05, BOUND, 1e-4):
        kept = needed_keys(curves.times, curves.weights, bound)
        back = np.stack([np.interp(curves.times, curves.times[kept], column) for column in curves.weights[kept].T], 1)
        assert np.abs(back - curves.weights).max() <= bound + 1e-9
        assert kept[0] == 0 and kept[-1] == 119 and {39, 41, 43} <= set(kept.tolist())
    line = np.linspace(0, 1, 50)[:, None]
    assert needed_keys(line[:, 0], line, 1e-6).tolist() == [0, 49]
    assert needed_keys(np.zeros(1), np.ones((1, 3)), 0.1).tolist() == [0]
    assert len(needed_keys(curves.times, np.random.default_rng(1).random((120, 3)), 0.0)) == 120


def sampled(gltf: GLTF2, index: int, times: np.ndarray) -> np.ndarray:
    """Values of a sampler at times: weights and translations linearly, rotations by slerp."""
    sampler = gltf.animations[0].samplers[index]
    arrays = []
    for accessor in (gltf.accessors[sampler.input], gltf.accessors[sampler.output]):
        view = gltf.bufferViews[accessor.bufferView]
        arrays.append(np.frombuffer(gltf.binary_blob(), "<f4", view.byteLength // 4, view.byteOffset).astype(float))
    keys, values = arrays[0], arrays[1].reshape(len(arrays[0]), -1)
    if gltf.accessors[sampler.output].type != "VEC4":
        return np.stack([np.interp(times, keys, column) for column in values.T], axis=1)
    place = np.clip(np.searchsorted(keys, times, side="right") - 1, 0, len(keys) - 2)
    part = (times - keys[place]) / (keys[place + 1] - keys[place])
    found = []
    for a, b, t in zip(values[place], values[place + 1], part, strict=True):
        angle = np.arccos(np.clip(a @ b, -1, 1))
        found.append(a if angle < 1e-9 else (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle))
    return np.array(found)


def angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Between rotation matrices, radians."""
    apart = first @ np.swapaxes(second, 1, 2)
    return 2 * np.arcsin(np.clip(np.linalg.norm(apart - np.eye(3), axis=(1, 2)) / np.sqrt(8), 0, 1))


def test_an_animated_glb_keeps_the_bound_of_weights_and_rotations(tmp_path):
    curves = perform()
    source = HeadFile().save(tmp_path / "egg.glb")
    performance = Controls(
        avatar="egg", names=ARKIT, weights=curves.weights, times=curves.times, rate=curves.rate, head=curves.head,
        confidence=curves.confidence,
    )  # fmt: skip
    for name, bound in (("all", 0.0), ("few", BOUND)):
        write_animated_glb(source, performance, tmp_path / f"{name}.glb", most_error=bound)
    gltf = GLTF2.load(str(tmp_path / "few.glb"))
    times = curves.times.astype(np.float32).astype(float)
    for channel in gltf.animations[0].channels:
        found = sampled(gltf, channel.sampler, times)
        if channel.target.path == "weights":
            assert np.abs(found - curves.weights).max() <= BOUND + 1e-6
        elif channel.target.path == "rotation":
            exact = quaternion_matrix(head_quaternion(*curves.head.T))
            assert angle(quaternion_matrix(found), exact).max() <= BOUND + 1e-5
    keys = [gltf.accessors[sampler.input].count for sampler in gltf.animations[0].samplers]
    assert max(keys) < 80 and (tmp_path / "few.glb").stat().st_size < (tmp_path / "all.glb").stat().st_size


def test_each_expression_of_a_vrm_animation_has_the_keys_it_needs(tmp_path):
    curves = perform()
    write_vrma(curves, tmp_path / "a.vrma", most_error=BOUND)
    gltf = GLTF2().load_binary(str(tmp_path / "a.vrma"))
    times, counts = curves.times.astype(np.float32).astype(float), {}
    for channel in gltf.animations[0].channels:
        name = gltf.nodes[channel.target.node].name
        counts[name] = gltf.accessors[gltf.animations[0].samplers[channel.sampler].input].count
        if name in ARKIT:
            found = sampled(gltf, channel.sampler, times)[:, 0]
            assert np.abs(found - curves.weights[:, ARKIT.index(name)]).max() <= BOUND + 1e-6
    assert counts["tongueOut"] == 2 and counts["eyeBlinkLeft"] == 7 and 10 < counts["jawOpen"] < 60


def test_usd_interpolates_within_the_bound(tmp_path):
    usd = pytest.importorskip("pxr.Usd")
    curves, avatar = perform(), load_avatar(HeadFile().save(tmp_path / "egg.glb"))
    performance = Controls(
        avatar="egg", names=ARKIT, weights=curves.weights, times=curves.times, rate=curves.rate, head=curves.head,
        confidence=curves.confidence,
    )  # fmt: skip
    write_usd(avatar, performance, tmp_path / "a.usd", most_error=BOUND)
    stage = usd.Stage.Open(str(tmp_path / "a.usd"))
    animation = stage.GetPrimAtPath("/Avatar/Animation")
    weights, rotations = (animation.GetAttribute(name) for name in ("blendShapeWeights", "rotations"))
    assert weights.GetNumTimeSamples() < 80 and rotations.GetNumTimeSamples() < 80
    exact = quaternion_matrix(head_quaternion(*curves.head.T))
    for index, time in enumerate(curves.times):
        assert np.abs(np.array(weights.Get(time * 25)) - curves.weights[index]).max() <= BOUND + 1e-5
        turn = rotations.Get(time * 25)[1]
        found = quaternion_matrix([*turn.GetImaginary(), turn.GetReal()])
        assert angle(found[None], exact[index : index + 1]).max() <= BOUND + 1e-5
