"""Animating takes no torch: library and command line work where it is not installed."""

import json
import subprocess
import sys

from tests.bundles import make_bundle
from tests.files import ROOT

WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in ("torch", "torchvision", "timm", "onnx", "onnxscript", *MORE):
            return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


def run(code: str, *arguments: str, more: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    whole = f"MORE = {more}\n{WITHOUT}{code}"
    return subprocess.run([sys.executable, "-c", whole, *arguments], capture_output=True, text=True, cwd=ROOT)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("from freeavatar.cli import main; sys.exit(main(sys.argv[1:]))", *arguments)


def test_library_and_app_are_imported():
    done = run("import annotation.pool.fit, annotation.store.images, app, freeavatar.cli, freeavatar.explore.clips")
    assert done.returncode == 0, done.stderr


def test_faces_are_encoded_and_decoded():
    code = """
import json, numpy as np
from freeavatar.models import PORTRAIT_SIZE, choose_device, open_bundle
bundle = open_bundle(device=choose_device("auto"))
features, embeddings = bundle.encoder.encode([np.full((144, 144, 3), 90, np.uint8)])
code = bundle.identity_encoder.encode(np.zeros((PORTRAIT_SIZE, PORTRAIT_SIZE, 3), np.uint8))
print(json.dumps([features.shape, embeddings.shape, bundle.decoder.decode(features, code).shape]))
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[1, 384], [1, 16], [1, 52]]


def test_a_clip_is_animated(short_clip, tmp_path):
    done = command("animate", str(short_clip), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "short_ines.mp4").is_file()


def test_what_takes_torch_says_so_in_a_sentence(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    for arguments in (("convert", str(bundle)), ("import", str(bundle))):
        done = command("models", *arguments)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert "not installed (torch, torchvision, timm, onnx, onnxscript): install requirements.txt" in done.stderr


def test_where_only_onnx_runtime_has_cuda_the_cpu_draws():
    code = """
import numpy as np, onnxruntime
onnxruntime.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
from freeavatar.avatars import load_avatar
from freeavatar.render import Look, Renderer
avatar = load_avatar("pip")
rest, look = np.zeros(len(avatar.target_names), np.float32), Look((64, 64))
pictures = [Renderer(avatar, device=device).picture(rest, look=look) for device in ("cuda", "cpu")]
assert pictures[0].std() > 10 and (pictures[0] == pictures[1]).all()
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_maps_say_what_they_take():
    code = """
import numpy as np
from freeavatar.explore.maps import MapConfig, make_map
make_map(np.random.default_rng(0).normal(size=(40, 16)), MapConfig(sys.argv[1]))
"""
    for package, method in (("sklearn", "pca"), ("umap", "umap")):
        done = run(code, method, more=(package,))
        assert f"InputError: maps take scikit-learn and umap-learn, and {package} is not installed" in done.stderr


def test_training_says_what_it_takes():
    done = run("from training.engine.devices import check_device; check_device('cpu')")
    assert done.returncode == 1
    missing = "(torch, torchvision, timm, onnx, onnxscript)"
    assert f"InputError: training takes packages that are not installed {missing}: `pip install" in done.stderr
