"""What a program that draws an avatar's GLB itself, such as a browser, needs to know to draw it as we do."""

from typing import Any

import numpy as np

from freeavatar.avatars.avatar import Avatar, Wrinkles
from freeavatar.avatars.bindings import read_bindings
from freeavatar.avatars.gltf import Gltf, open_glb
from freeavatar.avatars.nodes import head_turn, world_matrices
from freeavatar.framing import FRAMINGS
from freeavatar.render import folds, shadow, surfaces
from freeavatar.render.camera import Camera, frame
from freeavatar.render.look import Look
from freeavatar.render.surfaces import material_table


def stage_of(avatar: Avatar, look: Look | None = None) -> dict[str, Any]:
    """Describe an avatar as JSON can hold it.

    Args:
        avatar: as read from its file.
        look: lights and background; its size does not count.

    Returns:
        ``name``; ``controls``, ``K`` names in the order of ``avatar.target_names``; ``binds``, for every control and
        corrective rows of ``(mesh, morph target, weight)``; ``correctives``, for each the controls whose weights are
        multiplied, after ``!`` what they lack to 1; ``head``, the ``nodes`` that turn and the ``pivot`` in metres;
        ``materials``, in the file's order and a last one for primitives without, each with its linear ``color``, its
        ``row`` of :func:`freeavatar.render.surfaces.material_table`, and whether it ``folds``; ``wrinkles`` or None;
        ``cameras`` by framing; ``lights``, ``sky``, ``ground``, ``background`` (top and bottom, sRGB in [0, 1] or None)
        and ``shadow``; ``constants`` of the shading by name.
    """
    look = look or Look()
    gltf = open_glb(avatar.path)
    bindings, head = read_bindings(gltf), head_turn(gltf, world_matrices(gltf))
    lighting = look.lighting
    key = lighting.lights[0].direction if lighting.lights else (0.0, 0.0, 1.0)
    folding = avatar.wrinkles.materials if avatar.wrinkles else ()
    return {
        "name": avatar.name,
        "controls": list(avatar.target_names),
        "binds": {
            name: [[mesh, target, weight] for (mesh, target), weight in bindings.binds[name].items()]
            for name in bindings.names
        },
        "correctives": {corrective.name: list(corrective.inputs) for corrective in avatar.correctives},
        "head": {"nodes": list(head.nodes), "pivot": avatar.head_pivot.tolist()},
        "materials": [
            {"color": list(material.base_color), "row": row.tolist(), "folds": index in folding}
            for index, (material, row) in enumerate(
                zip(avatar.materials, material_table(avatar.materials), strict=True)
            )
        ],
        "wrinkles": _wrinkles(gltf, avatar.wrinkles) if avatar.wrinkles else None,
        "cameras": {framing: _camera(frame(avatar, framing)) for framing in FRAMINGS},
        "lights": [{"direction": _unit(light.direction), "color": list(light.color)} for light in lighting.lights],
        "sky": list(lighting.sky),
        "ground": list(lighting.ground),
        "background": None if look.background is None else [list(color) for color in look.background],
        "shadow": {
            "matrix": shadow.light_matrix(avatar.positions, key).ravel().tolist(), "strength": lighting.shadow,
            "size": shadow.MAP_SIZE, "kernel": list(shadow.KERNEL),
        },
        "constants": _constants(),
    }  # fmt: skip


def _unit(direction: tuple[float, float, float]) -> list[float]:
    return (np.asarray(direction) / max(float(np.linalg.norm(direction)), 1e-12)).tolist()


def _camera(camera: Camera) -> dict[str, Any]:
    """``target`` in metres, ``extent`` in metres of a square picture's side there, ``fieldOfView`` in degrees."""
    return {
        "target": [float(x) for x in camera.target], "extent": float(camera.extent),
        "fieldOfView": float(camera.field_of_view),
    }  # fmt: skip


def _wrinkles(gltf: Gltf, wrinkles: Wrinkles) -> dict[str, Any]:
    """``depth`` in metres of the whole range of a byte from flat, and ``layers`` with ``box`` (u0, v0, u1, v1),
    ``channel`` and ``terms`` of coefficients and controls."""
    extras = (mesh.extras for mesh in gltf.meshes if isinstance(mesh.extras, dict))
    declared = next(item["wrinkles"] for item in extras if item.get("wrinkles"))
    return {
        "depth": float(declared["depth"]),
        "layers": [
            {"box": list(layer.box), "channel": item["channel"], "terms": [[c, list(n)] for c, n in layer.terms]}
            for layer, item in zip(wrinkles.layers, declared["layers"], strict=True)
        ],
    }


def _constants() -> dict[str, Any]:
    """What the shading is made of, under the names it has here."""
    names = (
        "BACK", "DIFFUSE", "BLEED_COLOR", "FRESNEL", "BRIGHTEST_LOBE", "LID_SHADOW", "CATCHLIGHT", "CATCHLIGHT_BEND",
        "CATCHLIGHT_GAIN", "HAIR_SHIFTS", "HAIR_SHARPNESS", "HAIR_GAINS",
    )  # fmt: skip
    found = {name: getattr(surfaces, name) for name in names}
    found |= {name: getattr(folds, name) for name in ("CAVITY_DEPTH", "CAVITY_COLOR")}
    found |= {name: getattr(shadow, name) for name in ("EMPTY", "BIAS", "LEAST_VARIANCE", "BLEEDING")}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
