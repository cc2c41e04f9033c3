"""Scripts of the page's own components: modules that are served as they are, and what they need to know."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from webapp.common.words import DEFAULT, words_under

ROOT = Path(__file__).parents[1]
_LOAD = """
const root = location.pathname.replace(/\\/$/, "");
const page = { element, props, server, trigger, watch, upload, ...known };
import(`${root}/gradio_api/%s`).then((module) => module.start(page));
"""


def scripts() -> list[Path]:
    """Every module that a page may load, for ``gr.set_static_paths``."""
    return sorted(ROOT.rglob("*.js"))


def script(path: Path, *, words: str = "", events: Sequence[str] = (), **constants: object) -> str:
    """A ``js_on_load`` that loads a module and calls its ``start``.

    That gets what Gradio gives (``element``, ``props``, ``server``, ``trigger``, ``watch``, ``upload``) and what is
    named here, which does not go by the component's props: those are lost if the component is updated before it is
    shown for the first time.

    Args:
        path: the module.
        words: it gets the words whose keys begin with this as ``words``, in the visitor's ``language``.
        events: it triggers these; Gradio wants to find their names here.
        constants: more that it gets under these names, as JSON can hold it.
    """
    lines = [f"const known = {json.dumps(constants, ensure_ascii=False)};  // triggers {json.dumps(list(events))}"]
    if words:
        lines += [
            f"const languages = {json.dumps(words_under(words), ensure_ascii=False)};",
            "known.language = (navigator.languages || [navigator.language])"
            ".map((name) => name.toLowerCase().split('-')[0]).find((name) => languages[name])"
            f" || {json.dumps(DEFAULT)};",
            "known.words = languages[known.language];",
        ]
    return "\n".join(lines) + _LOAD % module_url(path)


def module_url(path: Path) -> str:
    """Where a module is had from, below ``gradio_api/``; the address changes when any module does."""
    content = b"".join(module.read_bytes() for module in scripts())
    return f"file={path.resolve()}?{hashlib.sha256(content).hexdigest()[:12]}"
