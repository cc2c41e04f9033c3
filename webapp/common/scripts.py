"""Scripts of the page's own components, with what they need to know before them."""

import json
from pathlib import Path

from webapp.common.words import DEFAULT, words_under


def script(path: Path, *, words: str = "", **constants: object) -> str:
    """A script for ``js_on_load``.

    What it needs stands in front of it and not in the component's props: those are lost if the component is updated
    before it is shown for the first time.

    Args:
        path: the script.
        words: it finds the words whose keys begin with this in ``words``, in the visitor's ``language``.
        constants: more that it finds under these names, as JSON can hold it.
    """
    lines = [f"const {name} = {json.dumps(value)};" for name, value in constants.items()]
    if words:
        lines.append(f"const languages = {json.dumps(words_under(words), ensure_ascii=False)};")
        lines.append(
            "const language = (navigator.languages || [navigator.language])"
            ".map((name) => name.toLowerCase().split('-')[0]).find((name) => languages[name])"
            f" || {json.dumps(DEFAULT)};"
        )
        lines.append("const words = languages[language];")
    return "\n".join([*lines, path.read_text(encoding="utf-8")])
