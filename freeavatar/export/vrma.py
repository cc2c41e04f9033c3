"""VRM animations: a performance that any VRM avatar can play, whatever its meshes.

The format is VRM Consortium's ``VRMC_vrm_animation`` 1.0, a binary glTF of nodes without meshes
(https://github.com/vrm-c/vrm-specification/tree/master/specification/VRMC_vrm_animation-1.0): the
rotations of nodes that stand for humanoid bones in a T-pose, the X translation of a node as the weight of an
expression, and a node's rotation as the direction of the gaze. Avatars face +Z, and their left is +X.

Expressions are VRM's presets, as :data:`freeavatar.avatars.presets.PRESETS` mixes them, and custom ones with ARKit's 52
names ("perfect sync"). An avatar plays those it has.
"""

from pathlib import Path

import numpy as np

from freeavatar.avatars.gltf import Gltf, Part, open_glb, write_glb
from freeavatar.avatars.presets import PRESETS
from freeavatar.export.animation import Animation, key_times
from freeavatar.export.checks import check_performance
from freeavatar.export.live_link import eye_degrees
from freeavatar.export.sink import Recording
from freeavatar.rig import ARKIT, Curves
from freeavatar.rotation import continuous, head_quaternion, inverse, multiply

EXTENSION = "VRMC_vrm_animation"
NECK_SHARE = 1 / 3
"""How much of the head's rotation the neck takes: VRM lets avatars go without one, and those turn by the rest alone."""
_ARM = (("UpperArm", (0.17, 0.35, 0.0)), ("LowerArm", (0.26, 0.0, 0.0)), ("Hand", (0.25, 0.0, 0.0)))
_LEG = (("UpperLeg", (0.09, -0.04, 0.0)), ("LowerLeg", (0.0, -0.42, 0.0)), ("Foot", (0.0, -0.43, 0.0)))
"""Bones of a limb, each below the one before, metres from it; the left's, the right's are mirrored."""
_OFFSET = (0.0, 0.06, 0.0)
"""Where the gaze begins, metres from the head's bone; the specification's example."""


def write_vrma(
    curves: Curves,
    path: str | Path,
    *,
    animate_head: bool = True,
    has_presets: bool = True,
    most_error: float = 0.0,
) -> None:
    """Write a face's curves as a VRM animation.

    It has the bones that VRM asks of every avatar, and the neck; of them neck and head are animated.

    Args:
        curves: what to write.
        path: the file to write; it is replaced at once when it is complete.
        animate_head: also turn neck and head.
        has_presets: also write VRM's presets. An avatar with both these and ARKit's expressions would show everything
            twice.
        most_error: leave out keys that the others give within this, of weights or radians; each expression and bone has
            keys of its own. 0 keeps the key of every frame.

    Raises:
        InputError: the curves or ``path`` cannot be written.
    """
    path = Path(path)
    check_performance(curves, path.stem)
    gltf = Gltf({"asset": {"version": "2.0", "generator": "FreeAvatar"}, "scene": 0, "buffers": [Part()]}, b"")
    bones = _add_bones(gltf)
    gltf.scenes = [Part(nodes=[bones["hips"]])]
    animation = Animation(gltf, path.stem, key_times(curves.times, path.stem), most_error=most_error)
    if animate_head:
        _add_head(animation, curves, bones)
    gaze = _add_gaze(animation, curves)
    presets = _add_expressions(animation, preset_weights(curves.weights)) if has_presets else {}
    custom = _add_expressions(animation, dict(zip(ARKIT, curves.weights.T, strict=True)))
    gltf.animations = [animation.part]
    gltf.extensionsUsed = [EXTENSION]
    gltf.extensions = {
        EXTENSION: {
            "specVersion": "1.0",
            "humanoid": {"humanBones": {name: {"node": node} for name, node in bones.items()}},
            "expressions": {"preset": presets, "custom": custom},
            "lookAt": {"node": gaze, "offsetFromHeadBone": list(_OFFSET)},
        }
    }
    write_glb(gltf, animation.data, path)


def preset_weights(weights: np.ndarray) -> dict[str, np.ndarray]:
    """VRM's presets but for the looks, which a gaze stands for, ``(T,)`` each in [0, 1].

    Avatars add them up: ``blink`` is what both lids do, ``blinkLeft`` and ``blinkRight`` what one does beyond that.

    Args:
        weights: of :data:`freeavatar.rig.ARKIT`, ``(T, 52)``.
    """
    column = dict(zip(ARKIT, weights.T, strict=True))
    found = {
        name: np.clip(sum(weight * column[source] for source, weight in row.items()), 0, 1)
        for name, row in PRESETS.items()
        if not name.startswith("look")
    }
    both = np.minimum(found["blinkLeft"], found["blinkRight"])
    return found | {"blink": both, "blinkLeft": found["blinkLeft"] - both, "blinkRight": found["blinkRight"] - both}


def _add_bones(gltf: Gltf) -> dict[str, int]:
    """Add the humanoid's nodes in a T-pose; returns the node of each bone."""
    bones: dict[str, int] = {}

    def add(name: str, place: tuple[float, float, float], parent: str | None) -> None:
        bones[name] = _add_node(gltf, name, place)
        if parent is not None:
            above = gltf.nodes[bones[parent]]
            above.children = [*(above.children or ()), bones[name]]

    add("hips", (0.0, 0.95, 0.0), None)
    add("spine", (0.0, 0.1, 0.0), "hips")
    add("neck", (0.0, 0.43, 0.0), "spine")
    add("head", (0.0, 0.1, 0.0), "neck")
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for limb, root in ((_ARM, "spine"), (_LEG, "hips")):
            parent = root
            for name, (x, y, z) in limb:
                add(f"{side}{name}", (sign * x, y, z), parent)
                parent = f"{side}{name}"
    return bones


def _add_node(gltf: Gltf, name: str, place: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> int:
    gltf.nodes.append(Part(name=name, translation=list(place)))
    return len(gltf.nodes) - 1


def _add_head(animation: Animation, curves: Curves, bones: dict[str, int]) -> None:
    yaw, pitch, roll = curves.head.T.astype(np.float64)
    whole = head_quaternion(yaw, pitch, roll)
    neck = head_quaternion(*(NECK_SHARE * angle for angle in (yaw, pitch, roll)))
    head = multiply(inverse(neck), whole)
    for name, turns in (("neck", neck), ("head", head)):
        animation.add_channel(animation.add_sampler(continuous(turns), "rotation"), bones[name], "rotation")


def _add_gaze(animation: Animation, curves: Curves) -> int:
    """Add the direction of the gaze, the mean of both eyes' as yaw and pitch; returns its node."""
    eyes = eye_degrees(curves.weights.astype(np.float64)).reshape(-1, 2, 3).mean(1)
    node = _add_node(animation.gltf, "lookAt")
    animation.gltf.scenes[0].nodes.append(node)
    turns = continuous(head_quaternion(-eyes[:, 0], eyes[:, 1], 0 * eyes[:, 2]))
    animation.add_channel(animation.add_sampler(turns, "rotation"), node, "rotation")
    return node


def _add_expressions(animation: Animation, weights: dict[str, np.ndarray]) -> dict[str, dict[str, int]]:
    """Add a node for each expression; returns what the extension says of them."""
    found = {}
    for name, values in weights.items():
        node = _add_node(animation.gltf, name)
        animation.gltf.scenes[0].nodes.append(node)
        places = np.stack([values, 0 * values, 0 * values], axis=1)
        animation.add_channel(animation.add_sampler(places, "translation"), node, "translation")
        found[name] = {"node": node}
    return found


class VrmaSink(Recording):
    """Writes a VRM animation; for an avatar that is a VRM with ARKit's expressions, without presets."""

    def save(self) -> None:
        """Write it."""
        avatar, settings = self.output.avatar, self.output.settings
        is_vrm = bool({"VRM", "VRMC_vrm"} & (open_glb(avatar.path).extensions or {}).keys())
        write_vrma(
            self.curves, self.output.path, animate_head=settings.get("has_head_pose", True),
            has_presets=not (is_vrm and avatar.is_arkit), most_error=settings.get("reduce", 0.0),
        )  # fmt: skip
