"""Texts in the project's code: what its libraries say, and what its pages would show."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

from tests.files import ROOT

_PACKAGES = ("freeavatar", "annotation", "training", "webapp")
_SAID = {
    "Message", "FreeAvatarError", "InputError", "VideoError", "FaceError", "AvatarError", "WeightsError",
    "FittingError", "OtherBundleError", "UnavailableError", "NoQuestion", "AllDone",
}  # fmt: skip
"""Whose first argument is a template, whose others are the values."""
_SILENT = {*_SAID, "rows", "value", "exception"}
"""Whose first argument no visitor sees."""
_LITERAL = re.compile(r"`[^`]*`|\"[^\"\n]*\"|'[^'\n]*'")
_PROSE = re.compile(r"[A-Z][a-z']+,?(?: [a-z]{2,})+|[A-Z][a-z]{2,}[.!?:]?|.*[a-z]+ [a-z]+ [a-z]+.*", re.DOTALL)
_SPOKEN = re.compile(r"""(?:alt|aria-label|title|placeholder)=["']([A-Za-z][^"'{$<>]*)["']""")


def messages() -> Iterator[tuple[str, ast.expr, int]]:
    """Where a library says something: place, template, how many values it gets, -1 where that is not written there."""
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for name, call in _calls(ast.parse(path.read_text())):
                if name in _SAID and call.args:
                    values = call.args[1:]
                    if name == "Message" and values:
                        values = values[0].elts if isinstance(values[0], ast.Tuple) else [ast.Starred(values[0])]
                    is_open = any(isinstance(value, ast.Starred) for value in values)
                    yield f"{path.relative_to(ROOT)}:{call.lineno}", call.args[0], -1 if is_open else len(values)


def fields(template: str) -> list[tuple[str, str]]:
    """Format and conversion of each field, in the order of the values."""
    parts = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
    return [(spec or "", how or "") for _, spec, how in sorted(parts, key=lambda part: part[0])]


def texts_of_python(path: Path) -> Iterator[str]:
    """What a visitor would read of a module's strings."""
    tree = ast.parse(path.read_text())
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    silent |= {id(node.msg) for node in ast.walk(tree) if isinstance(node, ast.Assert)}
    for name, call in _calls(tree):
        if name in _SILENT:
            silent |= {id(part) for given in call.args[:1] for part in ast.walk(given)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent
        if is_text and not re.search(r"=>|\{ |^select ", node.value):  # scripts, styles and SQL
            yield from _prose_of(node.value)


def texts_of_script(path: Path) -> Iterator[str]:
    """What a visitor would read of a script's strings."""
    text = re.sub(r"(?m)^\s*//.*$| // .*$|new Error\([^)]*\)", "", path.read_text())
    while re.search(r"\$\{[^{}`]*\}", text):
        text = re.sub(r"\$\{[^{}`]*\}", "", text)
    for literal in _LITERAL.findall(text):
        if "=>" not in literal:
            yield from _prose_of(literal[1:-1])


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "id", getattr(node.func, "attr", "")), node


def _prose_of(text: str) -> list[str]:
    parts = re.split(r"<[^<>]*>", re.sub(r"^[^<>]*>|<[^<>]*$", "", text))
    return [*_SPOKEN.findall(text), *(part.strip() for part in parts if _PROSE.fullmatch(part.strip()))]
