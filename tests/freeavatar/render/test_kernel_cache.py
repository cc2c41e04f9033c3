"""Compiled kernels are kept by the code of the whole package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from freeavatar import render
from freeavatar.render.compiled import cpu, resolve
from freeavatar.render.kernel_cache import kernels_folder
from tests.files import ROOT


def test_a_change_in_any_module_asks_for_new_kernels(tmp_path):
    sources = tmp_path / "render"
    shutil.copytree(Path(render.__file__).parent, sources, ignore=shutil.ignore_patterns("__pycache__"))
    assert kernels_folder(sources) == kernels_folder()
    (sources / "compiled" / "lanes.py").write_text((sources / "compiled" / "lanes.py").read_text() + "\n")
    assert kernels_folder(sources) != kernels_folder()


def test_every_kernel_is_kept_there():
    if not os.environ.get("NUMBA_CACHE_DIR"):
        for module in (cpu, resolve):
            kernels = [value for value in vars(module).values() if hasattr(value, "_cache")]
            assert kernels and all(Path(k._cache.cache_path).is_relative_to(kernels_folder()) for k in kernels)


def test_a_folder_that_was_chosen_is_kept(tmp_path):
    code = "import freeavatar.render, numba; print(numba.config.CACHE_DIR)"
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path)
