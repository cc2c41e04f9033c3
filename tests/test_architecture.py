"""Imports run one way: app -> webapp -> annotation, training -> freeavatar, and inside each from folder to folder."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.files import ROOT

GROUND = {"errors", "files", "framing", "images", "paths", "rig", "rotation"}
"""Modules of freeavatar that every folder of it may use."""
FOLDERS = {
    "freeavatar": {
        "video": set(),
        "faces": {"video"},
        "models": set(),
        "networks": {"models"},
        "avatars": set(),
        "performance": {"faces"},
        "render": {"faces", "models", "avatars"},
        "export": {"video", "avatars", "render"},
        "streams": {"avatars", "export"},
        "pipeline": {"video", "faces", "models", "avatars", "performance", "render", "export"},
        "explore": {"video", "faces", "models", "avatars", "performance", "render", "pipeline"},
    },
    "annotation": {
        "store": set(),
        "pool": {"store"},
        "asking": {"store", "pool"},
        "people": {"store", "pool", "asking"},
        "results": {"store", "pool"},
    },
    "training": {
        "engine": set(),
        "data": {"engine"},
        "objectives": {"engine", "data"},
        "renders": {"engine", "data"},
        "measure": {"engine", "data", "renders"},
        "jobs": {"engine", "data", "renders"},
    },
    "webapp": {
        "common": set(),
        "live": {"common"},
        "animate": {"common", "live"},
        "label": {"common"},
        "explore": {"common"},
        "train": {"common"},
        "admin": {"common"},
    },
}
"""What each folder may use of its package, besides itself."""
LATE = {"models": {"networks"}}
"""What a folder may use besides, inside functions alone: torch is not always installed."""
PACKAGES = {
    "freeavatar": set(),
    "annotation": {"freeavatar"},
    "training": {"freeavatar"},
    "webapp": {"freeavatar", "annotation", "training"},
}
"""What each package may use of the project, besides itself."""
OURS = {*PACKAGES, "app", "tools", "benchmarks", "examples", "tests"}


def imports(path: Path, *, is_at_once: bool = False) -> set[str]:
    """Names of what a file imports, or of that alone which it imports when it is imported itself."""
    found, tree = set(), ast.parse(path.read_text())
    for node in tree.body if is_at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, package
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_lies_below_them(package):
    for path in sources(package):
        tops = {name.split(".")[0] for name in imports(path)}
        assert not (tops & OURS) - PACKAGES[package] - {package}, path
        assert package == "webapp" or "gradio" not in tops, path


@pytest.mark.parametrize(("package", "folder"), [(p, f) for p, folders in FOLDERS.items() for f in folders])
def test_folders_import_only_what_lies_below_them(package, folder):
    modules = {path.stem for path in (ROOT / package).glob("*.py")} - GROUND
    for path in sources(f"{package}/{folder}"):
        for is_at_once, late in ((True, set()), (False, LATE.get(folder, set()))):
            names = imports(path, is_at_once=is_at_once)
            used = {name.split(".")[1] for name in names if name.startswith(f"{package}.")}
            above = used & (FOLDERS[package].keys() | modules) - FOLDERS[package][folder] - {folder} - late
            assert not above, (path, above)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_has_its_place(package):
    assert {path.parent.name for path in (ROOT / package).glob("*/__init__.py")} == FOLDERS[package].keys()


def test_extras_are_pinned_as_requirements_are():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [line for name in ("", "-dev") for line in (ROOT / f"requirements{name}.txt").read_text().splitlines()]
    assert project["optional-dependencies"].keys() == {"explore", "train", "usd"}
    for packages in project["optional-dependencies"].values():
        assert set(packages) <= set(required)
    core = (ROOT / "requirements-core.txt").read_text()
    (version,) = re.findall(r"^onnxruntime(==.+)$", core, re.MULTILINE)
    for name in ("README.md", "requirements-cuda.txt"):
        assert f"pip install onnxruntime-gpu{version}" in (ROOT / name).read_text()


def test_the_project_speaks_of_itself_alone():
    for path in [*ROOT.rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        if ".venv" not in path.parts[len(ROOT.parts) : len(ROOT.parts) + 1][0]:
            text = path.read_text()
            assert "/work" + "/" not in text, path
