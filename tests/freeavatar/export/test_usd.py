"""USD read back by its own library: UsdSkel's computed points are the avatar's."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from freeavatar.avatars import load_avatar
from freeavatar.errors import InputError
from freeavatar.export import usd
from freeavatar.rig import Controls
from freeavatar.rotation import head_quaternion, quaternion_matrix
from tests.heads import HeadFile

NAMES = ("jawOpen", "mouthSmileLeft", "eye-blink.L")


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    file = HeadFile([(*NAMES, "fix")])
    file.gltf.meshes[0].extras["correctives"] = {"fix": ["jawOpen", "mouthSmileLeft"]}
    avatar = load_avatar(file.save(tmp_path_factory.mktemp("heads") / "egg.glb"))
    random = np.random.default_rng(0)
    part = random.random(len(avatar.positions)).astype(np.float32)
    return replace(avatar, head_weight=part, head_pivot=np.array([0, -0.1, 0.01]))


def perform(avatar, frames=5):
    random = np.random.default_rng(1)
    return Controls(
        avatar=avatar.name, names=avatar.target_names, times=np.arange(frames) * 1001 / 30000,
        weights=random.random((frames, len(avatar.target_names)), np.float32), rate=Fraction(30000, 1001),
        head=random.uniform(-30, 30, (frames, 3)).astype(np.float32), confidence=np.ones(frames, np.float32),
    )  # fmt: skip


def expected(avatar, performance, index):
    """Points as glTF would have them: targets added, then skin turned about the pivot."""
    weights = performance.weights[index : index + 1]
    every = np.concatenate([weights, avatar.corrective_weights(weights)], axis=1)[0]
    points = avatar.positions + np.einsum("k,kvc->vc", every, avatar.target_positions)
    matrix = quaternion_matrix(head_quaternion(*performance.head[index]))
    turned = (points - avatar.head_pivot) @ matrix.T + avatar.head_pivot
    return points + avatar.head_weight[:, None] * (turned - points)


def skinned(stage, code):
    """Points as UsdSkel computes them."""
    from pxr import Usd, UsdGeom, UsdSkel, Vt

    root, cache = UsdSkel.Root(stage.GetPrimAtPath("/Avatar")), UsdSkel.Cache()
    cache.Populate(root, Usd.PrimDefaultPredicate)
    (binding,) = cache.ComputeSkelBindings(root, Usd.PrimDefaultPredicate)
    skeleton = cache.GetSkelQuery(binding.GetSkeleton())
    skinning = binding.GetSkinningTargets()[0]
    points = Vt.Vec3fArray(UsdGeom.Mesh(skinning.GetPrim()).GetPointsAttr().Get())
    shapes = UsdSkel.BlendShapeQuery(UsdSkel.BindingAPI(skinning.GetPrim()))
    weights = skeleton.GetAnimQuery().ComputeBlendShapeWeights(code)
    subs, indices, ids = shapes.ComputeSubShapeWeights(weights)
    shapes.ComputeDeformedPoints(
        subs, indices, ids, shapes.ComputeBlendShapePointIndices(), shapes.ComputeSubShapePointOffsets(), points
    )
    skinning.ComputeSkinnedPoints(skeleton.ComputeSkinningTransforms(code), points, code)
    return np.array(points)


def test_usds_own_reader_moves_the_points_as_the_avatar_does(head, tmp_path):
    pxr = pytest.importorskip("pxr.Usd")
    performance = perform(head)
    usd.write_usd(head, performance, tmp_path / "a.usd")
    stage = pxr.Stage.Open(str(tmp_path / "a.usd"))
    assert (tmp_path / "a.usd").read_bytes()[:8] == b"PXR-USDC" and len(list(tmp_path.iterdir())) == 1
    assert stage.GetTimeCodesPerSecond() == pytest.approx(29.97003) and stage.GetEndTimeCode() == 4
    for index in range(5):
        found = skinned(stage, float(index))
        np.testing.assert_allclose(found, expected(head, performance, index), atol=2e-6)


def test_shapes_keep_their_names_as_far_as_usd_allows(head, tmp_path):
    pxr = pytest.importorskip("pxr.UsdSkel")
    usd.write_usd(head, perform(head), tmp_path / "a.usd", animate_head=False)
    from pxr import Usd

    stage = Usd.Stage.Open(str(tmp_path / "a.usd"))
    animation = pxr.Animation(stage.GetPrimAtPath("/Avatar/Animation"))
    assert list(animation.GetBlendShapesAttr().Get()) == ["eye_blink_L", "jawOpen", "mouthSmileLeft", "fix"]
    assert animation.GetBlendShapeWeightsAttr().GetNumTimeSamples() == 5
    assert animation.GetRotationsAttr().GetNumTimeSamples() == 0


def test_without_its_package_usd_is_refused_in_words(head, tmp_path, monkeypatch):
    monkeypatch.setattr(usd, "is_installed", lambda name: False)
    with pytest.raises(InputError, match="USD takes usd-core, which is not installed"):
        usd.write_usd(head, perform(head), tmp_path / "a.usd")
