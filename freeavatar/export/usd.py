"""USD: an avatar that plays, for Omniverse, Houdini, Maya, Blender and others.

The schema is UsdSkel's (https://openusd.org/release/api/usd_skel_page_front.html): a ``SkelRoot`` holds the mesh with a
``BlendShape`` for every target, a skeleton of a root and a head that turns about the avatar's pivot, and a
``SkelAnimation`` with the weights and the head's rotation over time. Units are metres, +Y is up, the avatar faces +Z.
A time code is a frame of the nominal rate; frames between two of them have a time code between theirs.

Materials have their colour, or the mean of their texture; textures stay in the GLB. Writing takes ``usd-core``, which
the extra ``usd`` installs.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from freeavatar.avatars import Avatar
from freeavatar.errors import InputError
from freeavatar.export.checks import check_performance
from freeavatar.export.keys import needed_keys
from freeavatar.export.sink import Output, Recording
from freeavatar.files import is_installed, replacing
from freeavatar.rig import Controls
from freeavatar.rotation import continuous, head_quaternion

_JOINTS = ["root", "root/head"]
_ANIMATION = "/Avatar/Animation"
_STILL = 1e-6
"""Metres: what a target moves less stays out of it."""


def check_usd() -> None:
    """Refuse if USD cannot be written.

    Raises:
        InputError: ``usd-core`` is not installed.
    """
    if not is_installed("pxr"):
        raise InputError("USD takes usd-core, which is not installed: install it, or the extra `usd`.")


def write_usd(
    avatar: Avatar, performance: Controls, path: str | Path, *, animate_head: bool = True, most_error: float = 0.0
) -> None:
    """Write an avatar that plays as a binary USD file.

    Args:
        avatar: who plays.
        performance: what; its controls are the avatar's.
        path: the file to write, ``.usd``; it is replaced at once when it is complete.
        animate_head: also turn the head.
        most_error: leave out keys that the others give within this, of weights or radians; all weights share their
            keys. 0 keeps the key of every frame.

    Raises:
        InputError: the performance or ``path`` cannot be written, or ``usd-core`` is missing.
    """
    check_usd()
    check_performance(performance, performance.avatar)
    from pxr import Tf, Usd, UsdGeom, UsdSkel

    path, rate = Path(path), float(performance.rate)
    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(rate)
    stage.SetFramesPerSecond(rate)
    codes = np.round(performance.times * rate, 6)
    stage.SetStartTimeCode(float(codes[0]))
    stage.SetEndTimeCode(float(codes[-1]))
    root = UsdSkel.Root.Define(stage, "/Avatar")
    stage.SetDefaultPrim(root.GetPrim())
    mesh = _add_mesh(stage, avatar)
    names = _add_targets(stage, mesh, avatar)
    _add_materials(stage, mesh, avatar)
    _add_skeleton(stage, mesh, avatar)
    _add_animation(stage, avatar, names)
    _add_weights(stage, avatar, performance, codes, most_error)
    if animate_head:
        _add_head(stage, performance, codes, most_error)
    with replacing(path) as temporary:
        exported = temporary.with_suffix(".usdc")  # the ending is what says that it is binary
        try:
            stage.GetRootLayer().Export(str(exported))
            os.replace(exported, temporary)
        except Tf.ErrorException as error:
            raise InputError("{} cannot be written; check that its folder is writable and has space.", path) from error
        finally:
            exported.unlink(missing_ok=True)


def _add_mesh(stage: Any, avatar: Avatar) -> Any:
    from pxr import Sdf, UsdGeom, Vt

    mesh = UsdGeom.Mesh.Define(stage, "/Avatar/Face")
    low, high = avatar.positions.min(0), avatar.positions.max(0)
    mesh.CreatePointsAttr(_vectors(avatar.positions))
    mesh.CreateExtentAttr(_vectors(np.stack([low, high])))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(avatar.triangles), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(avatar.triangles.ravel()))
    mesh.CreateNormalsAttr(_vectors(avatar.normals))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(True)
    texture = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex)
    flipped = avatar.uv * (1, -1) + (0, 1)  # USD's origin is the lower left
    texture.Set(Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(flipped, np.float32)))
    return mesh


def _add_targets(stage: Any, mesh: Any, avatar: Avatar) -> list[str]:
    """Add a blend shape for every control and corrective; returns their names."""
    from pxr import Tf, UsdSkel, Vt

    names: list[str] = []
    targets = []
    for name, shift, turn in zip(
        (*avatar.target_names, *(corrective.name for corrective in avatar.correctives)),
        avatar.target_positions, avatar.target_normals, strict=True,
    ):  # fmt: skip
        valid = Tf.MakeValidIdentifier(name)
        while valid in names:
            valid += "_"
        names.append(valid)
        moved = np.flatnonzero(np.abs(shift).max(1) > _STILL).astype(np.int32)
        shape = UsdSkel.BlendShape.Define(stage, mesh.GetPath().AppendChild(valid))
        shape.CreateOffsetsAttr(_vectors(shift[moved]))
        shape.CreateNormalOffsetsAttr(_vectors(turn[moved]))
        shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moved))
        targets.append(shape.GetPath())
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateBlendShapesAttr(names)
    binding.CreateBlendShapeTargetsRel().SetTargets(targets)
    return names


def _add_materials(stage: Any, mesh: Any, avatar: Avatar) -> None:
    from pxr import Gf, Sdf, UsdGeom, UsdShade, Vt

    of_triangle = avatar.material[avatar.triangles[:, 0]]
    for index, item in enumerate(avatar.materials):
        faces = np.flatnonzero(of_triangle == index).astype(np.int32)
        if not len(faces):
            continue
        color = np.array(item.base_color, np.float64)
        if item.texture is not None:
            color = color * ((item.texture.reshape(-1, 3).mean(0) / 255) ** 2.2)
        material = UsdShade.Material.Define(stage, f"/Avatar/Material{index}")
        shader = UsdShade.Shader.Define(stage, f"/Avatar/Material{index}/Surface")
        shader.CreateIdAttr("UsdPreviewSurface")
        shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(Gf.Vec3f(*color.tolist()))
        shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(float(item.roughness))
        material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
        subset = UsdGeom.Subset.CreateGeomSubset(
            mesh, f"Part{index}", UsdGeom.Tokens.face, Vt.IntArray.FromNumpy(faces), "materialBind"
        )
        UsdShade.MaterialBindingAPI.Apply(subset.GetPrim()).Bind(material)
    UsdGeom.Subset.SetFamilyType(mesh, "materialBind", UsdGeom.Tokens.partition)


def _add_skeleton(stage: Any, mesh: Any, avatar: Avatar) -> None:
    from pxr import Gf, UsdSkel, Vt

    skeleton = UsdSkel.Skeleton.Define(stage, "/Avatar/Skeleton")
    head = Gf.Matrix4d().SetTranslate(Gf.Vec3d(*avatar.head_pivot.tolist()))
    skeleton.CreateJointsAttr(_JOINTS)
    skeleton.CreateBindTransformsAttr([Gf.Matrix4d(1), head])
    skeleton.CreateRestTransformsAttr([Gf.Matrix4d(1), head])
    binding = UsdSkel.BindingAPI(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    count = len(avatar.positions)
    weights = np.stack([1 - avatar.head_weight, avatar.head_weight], axis=1).astype(np.float32)
    joints = np.tile(np.array([0, 1], np.int32), count)
    binding.CreateJointIndicesPrimvar(False, 2).Set(Vt.IntArray.FromNumpy(joints))
    binding.CreateJointWeightsPrimvar(False, 2).Set(Vt.FloatArray.FromNumpy(weights.ravel()))
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([_ANIMATION])


def _add_animation(stage: Any, avatar: Avatar, names: list[str]) -> None:
    """Add the animation at rest."""
    from pxr import Gf, UsdSkel

    animation = UsdSkel.Animation.Define(stage, _ANIMATION)
    animation.CreateJointsAttr(_JOINTS)
    animation.CreateTranslationsAttr([Gf.Vec3f(0), Gf.Vec3f(*avatar.head_pivot.tolist())])
    animation.CreateRotationsAttr([Gf.Quatf(1), Gf.Quatf(1)])
    animation.CreateScalesAttr([Gf.Vec3h(1), Gf.Vec3h(1)])
    animation.CreateBlendShapesAttr(names)


def _add_weights(stage: Any, avatar: Avatar, performance: Controls, codes: np.ndarray, most_error: float) -> None:
    from pxr import UsdSkel, Vt

    correctives = avatar.corrective_weights(performance.weights)
    weights = np.concatenate([performance.weights, correctives], axis=1).astype(np.float32)
    attribute = UsdSkel.Animation.Get(stage, _ANIMATION).CreateBlendShapeWeightsAttr()
    for key in needed_keys(codes, weights, most_error):
        attribute.Set(Vt.FloatArray.FromNumpy(weights[key]), float(codes[key]))


def _add_head(stage: Any, performance: Controls, codes: np.ndarray, most_error: float) -> None:
    from pxr import Gf, UsdSkel

    turns = continuous(head_quaternion(*performance.head.T.astype(np.float64)))
    attribute = UsdSkel.Animation.Get(stage, _ANIMATION).GetRotationsAttr()
    for key in needed_keys(codes, turns, most_error, is_rotation=True):
        x, y, z, w = turns[key].tolist()
        attribute.Set([Gf.Quatf(1), Gf.Quatf(w, x, y, z)], float(codes[key]))


def _vectors(values: np.ndarray) -> Any:
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(values, np.float32))


class UsdSink(Recording):
    """Writes the avatar that plays as USD."""

    def __init__(self, output: Output) -> None:
        check_usd()
        super().__init__(output)

    def save(self) -> None:
        """Write it."""
        settings = self.output.settings
        write_usd(
            self.output.avatar, self.controls, self.output.path,
            animate_head=settings.get("has_head_pose", True), most_error=settings.get("reduce", 0.0),
        )  # fmt: skip
