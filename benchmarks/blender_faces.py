"""Faces with known rigs, drawn by Blender's Cycles: another shader, other skins and lights than training ever saw.

    python -m venv BLENDER && BLENDER/bin/pip install bpy==5.0.1        # Python 3.11; GPL, so never beside the package
    python -m benchmarks.blender_faces --avatars HELD_OUT --labels labels.csv --blender BLENDER/bin/python --out DIR
    python -m benchmarks.blender_faces --avatars freeavatar/avatars/assets --count 4 --blender ... --out /tmp/faces

Writes ``frames.npy`` (N, S, S, 3) uint8 and ``rigs.npy`` (N, 52), which ``benchmarks.known_rigs`` and the peer
(``benchmarks/mediapipe_rigs.py``) read. Rigs are natural expressions; for ``--rare`` of them a few of the shapes that
natural ones lack are put on top, on one side half of the time. Skins are tinted, glossy or dull; lamps stand anywhere
before the face.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RARE = (
    "cheekPuff", "noseSneer", "eyeWide", "browDown", "browOuterUp", "mouthFrown", "mouthPress", "mouthLeft",
    "mouthRight", "jawLeft", "jawRight",
)  # fmt: skip
"""Shapes that natural expressions lack; without a side, one or both are meant."""


@dataclass(frozen=True)
class FacesConfig:
    """What to draw."""

    avatars: Path
    """Folder of GLB files with ARKit's blendshapes."""
    blender: str
    """A Python that can import bpy."""
    out: Path
    labels: Path | None = None
    """labels.csv of the faces whose rigs are re-enacted; default: single shapes only."""
    count: int = 200
    rare: float = 0.6
    """Share of pictures with rare shapes."""
    size: int = 320
    samples: int = 12
    """Rays for each pixel, before Blender's denoiser."""
    seed: int = 9


def draw_rigs(config: FacesConfig, rng: np.random.Generator) -> np.ndarray:
    """Rigs ``(N, 52)`` in [0, 1]."""
    from freeavatar.rig import ARKIT
    from training.data.labelled_faces import read_rigs
    from training.data.rigs import INDEX, RigSampler

    seen = np.zeros((1, len(ARKIT)), np.float32)
    if config.labels is not None:
        seen = np.nan_to_num(read_rigs(config.labels))
    sampler, rigs = RigSampler(seen, is_natural=True), []
    for _ in range(config.count):
        rig = sampler.draw(rng)
        if rng.uniform() < config.rare:
            for name in rng.choice(RARE, 2, replace=False):
                sides = [f"{name}Left", f"{name}Right"] if f"{name}Left" in INDEX else [name]
                for side in sides if rng.uniform() < 0.5 else [rng.choice(sides)]:
                    rig[INDEX[side]] = rng.uniform(0.4, 1.0)
        rigs.append(rig)
    return np.stack(rigs)


def plan_pictures(config: FacesConfig) -> tuple[np.ndarray, list[dict]]:
    """Rigs, and for each picture the file, the weights of all its targets, camera, lamps and skin."""
    from freeavatar.avatars.glb import read_glb

    rng = np.random.default_rng(config.seed)
    files = sorted(config.avatars.glob("*.glb"))
    people = [(path, avatar) for path in files if (avatar := read_glb(path)).is_arkit]
    rigs, plan = draw_rigs(config, rng), []
    for number, rig in enumerate(rigs):
        path, avatar = people[number * len(people) // len(rigs)]
        own = avatar.control_weights(rig[None])
        names = [*avatar.target_names, *(one.name for one in avatar.correctives)]
        weights = np.concatenate([own, avatar.corrective_weights(own)], axis=1)[0]
        plan.append({
            "file": str(path.resolve()), "weights": dict(zip(names, weights.tolist(), strict=True)),
            "turn": rng.normal(0, [11, 7]).tolist(), "tint": rng.uniform(0.55, 1.25, 3).tolist(),
            "gloss": float(rng.uniform(0.25, 0.9)), "world": rng.uniform(0.1, 0.7, 3).tolist(),
            "lamps": [[*rng.uniform([-1.4, -0.3, 0.3], [1.4, 1.3, 1.5]), *(rng.uniform(2, 14) * rng.uniform(0.7, 1, 3))]
                      for _ in range(rng.integers(1, 4))],
        })  # fmt: skip
    return rigs, plan


def draw(plan_file: str) -> None:
    """Within Blender: draw what is planned into numbered pictures."""
    import math

    import bpy
    from mathutils import Vector

    plan = json.loads(Path(plan_file).read_text())
    loaded = ""
    for number, picture in enumerate(plan["pictures"]):
        if picture["file"] != loaded:
            bpy.ops.wm.read_factory_settings(use_empty=True)
            bpy.ops.import_scene.gltf(filepath=picture["file"])
            loaded = picture["file"]
            center, height = _face(bpy)
            _prepare(bpy, plan)
        for mesh in [item.data for item in bpy.data.objects if item.type == "MESH"]:
            for key in mesh.shape_keys.key_blocks if mesh.shape_keys else []:
                key.slider_min, key.slider_max = 0, 1
                key.value = picture["weights"].get(key.name, 0.0)
        _dress(bpy, picture)
        yaw, pitch = (math.radians(angle) for angle in picture["turn"])
        way = Vector((math.sin(yaw) * math.cos(pitch), -math.cos(yaw) * math.cos(pitch), math.sin(pitch)))
        camera = bpy.context.scene.camera
        camera.location = center + way * height * 2.2
        camera.rotation_euler = (-way).to_track_quat("-Z", "Y").to_euler()
        for item in [item for item in bpy.data.objects if item.type == "LIGHT"]:
            bpy.data.objects.remove(item)
        for x, up, forward, *color in picture["lamps"]:
            data = bpy.data.lights.new("lamp", "AREA")
            data.energy, data.size, data.color = max(color) * 10 * height**2, height, [c / max(color) for c in color]
            lamp = bpy.data.objects.new("lamp", data)
            bpy.context.collection.objects.link(lamp)
            lamp.location = center + Vector((x, -forward, up)) * height * 1.6
            lamp.rotation_euler = (center - lamp.location).to_track_quat("-Z", "Y").to_euler()
        bpy.context.scene.render.filepath = str(Path(plan["out"]) / f"{number:05d}.png")
        bpy.ops.render.render(write_still=True)


def _face(bpy):
    """Middle of the face, and its height, in Blender's axes."""
    from mathutils import Vector

    # The importer adds a ball for the shape of bones; what moves is the head.
    heads = [item for item in bpy.data.objects if item.type == "MESH" and item.data.shape_keys]
    points = [item.matrix_world @ Vector(corner) for item in heads for corner in item.bound_box]
    top, bottom = max(p.z for p in points), min(p.z for p in points)
    height = 0.75 * (top - bottom)
    return Vector((0, sum(p.y for p in points) / len(points), top - 0.52 * height)), height


def _prepare(bpy, plan):
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", plan["samples"]
    scene.cycles.use_denoising, scene.cycles.max_bounces = True, 2
    scene.render.resolution_x = scene.render.resolution_y = plan["size"]
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.world = bpy.data.worlds.new("world")
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.lens = 75
    bpy.context.collection.objects.link(camera)
    scene.camera = camera
    for material in bpy.data.materials:
        shader = next((node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"), None)
        if shader is None or not shader.inputs["Base Color"].links:
            continue
        source = shader.inputs["Base Color"].links[0].from_socket
        mix = material.node_tree.nodes.new("ShaderNodeMix")
        mix.data_type, mix.blend_type, mix.name = "RGBA", "MULTIPLY", "tint"
        mix.inputs["Factor"].default_value = 1.0
        material.node_tree.links.new(source, mix.inputs["A"])
        material.node_tree.links.new(mix.outputs["Result"], shader.inputs["Base Color"])


def _dress(bpy, picture):
    bpy.context.scene.world.color = picture["world"]
    for material in bpy.data.materials:
        if "tint" in material.node_tree.nodes:
            is_skin = "skin" in material.name.lower() or "head" in material.name.lower()
            tint = picture["tint"] if is_skin else [1, 1, 1]
            material.node_tree.nodes["tint"].inputs["B"].default_value = (*tint, 1)
            shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
            if is_skin and not shader.inputs["Roughness"].links:
                shader.inputs["Roughness"].default_value = picture["gloss"]


def main(config: FacesConfig) -> None:
    """Plan, have Blender draw, and gather the pictures."""
    import cv2

    rigs, plan = plan_pictures(config)
    config.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        plan_file = Path(folder) / "plan.json"
        plan_file.write_text(json.dumps(
            {"pictures": plan, "out": folder, "size": config.size, "samples": config.samples}
        ))  # fmt: skip
        command = [config.blender, str(Path(__file__).resolve()), "--draw", str(plan_file)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        frames = [cv2.imread(str(Path(folder) / f"{k:05d}.png"))[..., ::-1] for k in range(len(plan))]
    np.save(config.out / "frames.npy", np.stack(frames))
    np.save(config.out / "rigs.npy", rigs)
    print(f"{len(frames)} pictures in {config.out}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--draw"]:
        draw(sys.argv[2])
    else:
        import tyro

        main(tyro.cli(FacesConfig, description=__doc__))
