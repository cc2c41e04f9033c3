"""Whether Blender plays an animated GLB as it was rendered: the largest distance between vertices at three times.

    python -m venv BLENDER && BLENDER/bin/pip install bpy==5.0.1        # Python 3.11; GPL, so never beside the package
    python -m freeavatar animate clip.mp4 --avatar ines --out out
    python -m benchmarks.blender_import out/clip_ines.glb --blender BLENDER/bin/python

The JSON beside the GLB says what was to be played. It ends with exit code 1 beyond a thousandth of the head's height.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MOMENTS = (0.2, 0.5, 0.9)
"""Where to compare, in parts of the clip; the nearest frames are taken."""
FPS = 1000
"""Blender's clock while it imports: every key then lies close to a frame."""


def expected(glb: Path) -> tuple[list[float], dict[str, np.ndarray]]:
    """Times, and where the renderer puts the vertices of each node, ``(T, V, 3)``."""
    from freeavatar.avatars.glb import read_glb
    from freeavatar.avatars.gltf import open_glb, read_accessor
    from freeavatar.avatars.nodes import world_matrices
    from freeavatar.export import read_rig_json
    from freeavatar.render import Renderer

    performance = read_rig_json(glb.with_suffix(".json"))
    frames = [round(part * (len(performance.times) - 1)) for part in MOMENTS]
    renderer = Renderer(read_glb(glb))
    assert renderer.avatar.target_names == performance.names
    import torch

    places = renderer.deform(torch.from_numpy(performance.weights[frames]), performance.head[frames])[0].cpu().numpy()
    gltf, start, found = open_glb(glb), 0, {}
    for node in sorted(world_matrices(gltf)):
        if (mesh := gltf.nodes[node].mesh) is None:
            continue
        parts = []
        for primitive in gltf.meshes[mesh].primitives:
            # Blender drops vertices that no triangle uses.
            used = np.unique(read_accessor(gltf, primitive.indices))
            parts.append(places[:, start + used])
            start += gltf.accessors[primitive.attributes.POSITION].count
        found[gltf.nodes[node].name or gltf.meshes[mesh].name or f"Node {node}"] = np.concatenate(parts, axis=1)
    return [float(performance.times[frame]) for frame in frames], found


def dump(glb: str, out: str, times: list[float]) -> None:
    """Within Blender: import, and save where each object's vertices are at those times, in glTF's axes."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = FPS
    bpy.ops.import_scene.gltf(filepath=glb)
    found: dict[str, list[np.ndarray]] = {}
    for time in times:
        frame = time * FPS
        bpy.context.scene.frame_set(int(frame), subframe=frame - int(frame))
        graph = bpy.context.evaluated_depsgraph_get()
        for item in [item for item in bpy.data.objects if item.type == "MESH" and item.users_scene]:
            shown = item.evaluated_get(graph)
            mesh = shown.to_mesh()
            points = np.empty(len(mesh.vertices) * 3, np.float32)
            mesh.vertices.foreach_get("co", points)
            world = np.array(shown.matrix_world)
            x, y, z = (points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]).T
            found.setdefault(item.name, []).append(np.stack([x, z, -y], axis=1))
            shown.to_mesh_clear()
    np.savez(out, **{name: np.stack(places) for name, places in found.items()})


def main() -> int:
    """Compare, print the largest distances, and say whether they are small."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glb", type=Path, help="written by animate, its .json beside it")
    parser.add_argument("--blender", required=True, help="a Python that can import bpy")
    args = parser.parse_args()
    times, ours = expected(args.glb)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "blender.npz"
        command = [args.blender, str(Path(__file__).resolve()), "--dump", str(args.glb), str(out), *map(str, times)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        blender = dict(np.load(out))
    moved = np.concatenate([places - places[:1] for places in ours.values()], axis=1)
    print(f"{args.glb.name}: the largest motion between these times is {np.abs(moved).max():.4g}")
    worst = 0.0
    for name, places in ours.items():
        # Blender names objects after meshes or nodes, and adds the shapes of bones: the nearest of one size is it.
        distances = [np.linalg.norm(b - places, axis=2).max(1) for b in blender.values() if b.shape == places.shape]
        if not distances:
            print(f"  {name}: none of Blender's objects has {places.shape[1]} vertices")
            return 1
        distance = min(distances, key=np.max)
        print(f"  {name}: " + ", ".join(f"{d:.2e} at {t:.2f} s" for d, t in zip(distance, times, strict=True)))
        worst = max(worst, float(distance.max()))
    height = np.ptp(np.concatenate(list(ours.values()), axis=1)[0, :, 1])
    print(f"  largest distance {worst:.2e}, {worst / height:.1e} of the model's height")
    return int(worst > 1e-3 * height)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--dump"]:
        dump(sys.argv[2], sys.argv[3], [float(time) for time in sys.argv[4:]])
    else:
        sys.exit(main())
