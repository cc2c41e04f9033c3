"""Imports run one way: app -> freeavatar.ui -> the packages below; freeavatar knows none of them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMON = {"errors", "files", "rig", "rotation"}
ALLOWED = {
    "video": {"video"},
    "faces": {"video", "faces"},
    "models": {"models", "paths"},
    "avatars": {"avatars", "paths"},
    "render": {"avatars", "render"},
    "export": {"avatars", "export"},
    "pipeline": {"video", "faces", "models", "avatars", "render", "export", "pipeline"},
    "explore": {"video", "faces", "models", "avatars", "render", "pipeline", "paths", "explore"},
    "ui": {"avatars", "faces", "models", "paths", "pipeline", "render", "runs", "video", "explore", "ui"},
}
"""What each package may use of freeavatar, besides what all may."""


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_the_library_imports_neither_gradio_nor_the_packages_above_it():
    for path in (ROOT / "freeavatar").rglob("*.py"):
        if "ui" not in path.parts:
            tops = {name.split(".")[0] for name in imports(path)}
            assert not tops & {"gradio", "training", "annotation", "app", "tools", "benchmarks", "examples"}, path


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_only_what_lies_before_them(package):
    for path in (ROOT / "freeavatar" / package).rglob("*.py"):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("freeavatar.")}
        assert used <= ALLOWED[package] | COMMON, (path, used - ALLOWED[package])


def test_training_imports_no_user_interface():
    for path in (ROOT / "training").rglob("*.py"):
        names = imports(path)
        assert not {name.split(".")[0] for name in names} & {"gradio", "annotation", "app"}, path
        assert not any(name.startswith("freeavatar.ui") for name in names), path


def test_annotation_uses_the_library_alone():
    for path in (ROOT / "annotation").rglob("*.py"):
        names = imports(path)
        assert not {name.split(".")[0] for name in names} & {"gradio", "training", "app", "tools", "benchmarks"}, path
        assert not any(name.startswith("freeavatar.ui") for name in names), path


def test_the_project_speaks_of_itself_alone():
    for path in [*ROOT.rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        if ".venv" not in path.parts[len(ROOT.parts) : len(ROOT.parts) + 1][0]:
            text = path.read_text()
            assert "/work" + "/" not in text, path
