"""The page's words in every language, from one file."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from freeavatar.errors import FreeAvatarError, Message

_FILE = json.loads((Path(__file__).parent / "words.json").read_text(encoding="utf-8"))
MESSAGES: dict[str, dict[str, str]] = _FILE.pop("messages")
"""Per language other than English, the libraries' messages by their English template."""
WORDS: dict[str, dict[str, str]] = _FILE
"""Per language, the page's words by key; ``{name}`` is filled in."""
DEFAULT = "en"
I18N = gr.I18n(**WORDS)
"""For ``launch``: the browser translates what :func:`word` marked."""


def word(key: str) -> Any:
    """A word that the visitor's browser shows in its own language.

    Raises:
        KeyError: there is no such word.
    """
    return I18N(key) if key in WORDS[DEFAULT] else WORDS[DEFAULT][key]


def say(language: str, key: str, **values: object) -> str:
    """A word in a language, with its values filled in.

    Raises:
        KeyError: there is no such word, or one of its values is missing.
    """
    return WORDS[language][key].format(**values)


def translated(message: Message | FreeAvatarError, language: str) -> str:
    """What a library says, in a language; in English where nobody has translated it."""
    if isinstance(message, FreeAvatarError):
        message = message.message
    template = MESSAGES.get(language, {}).get(message.template, message.template)
    values = [translated(v, language) if isinstance(v, (Message, FreeAvatarError)) else v for v in message.values]
    return template.format(*values) if values else template


def language_of(request: gr.Request | None) -> str:
    """The first language that the visitor's browser asks for and that is here."""
    header = request.headers.get("accept-language", "") if request and request.headers else ""
    for part in header.split(","):
        language = part.split(";")[0].strip().lower().split("-")[0]
        if language in WORDS:
            return language
    return DEFAULT


def words_under(prefix: str) -> dict[str, dict[str, str]]:
    """For scripts of the page: per language, the words whose keys begin with ``prefix``, without it."""
    return {
        language: {key.removeprefix(prefix): text for key, text in words.items() if key.startswith(prefix)}
        for language, words in WORDS.items()
    }
