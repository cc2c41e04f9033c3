"""What the server answers a script of the page."""

import sqlite3
from collections.abc import Callable
from typing import Any

from freeavatar.errors import FreeAvatarError, Message
from webapp.common.words import DEFAULT, WORDS, say, translated

Reply = dict[str, Any]


def language_in(request: Reply) -> str:
    """The language that a script of the page asks for."""
    language = request.get("language")
    return language if language in WORDS else DEFAULT


def explained(act: Callable[[Reply], Reply]) -> Callable[[Any], Reply]:
    """An action that replies with ``error`` instead of raising, and with text for messages.

    The page decides whether to try again.
    """

    def reply(request: Any) -> Reply:
        request = request if isinstance(request, dict) else {}
        try:
            return _shown(act(request), language_in(request))
        except FreeAvatarError as error:
            return {"error": translated(error, language_in(request))}
        except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
            return {"error": say(language_in(request), "reply.failed", error=error)}

    reply.__name__ = act.__name__
    return reply


def _shown(value: Any, language: str) -> Any:
    """A reply with its messages as text."""
    if isinstance(value, Message):
        return translated(value, language)
    if isinstance(value, dict):
        return {key: _shown(one, language) for key, one in value.items()}
    return [_shown(one, language) for one in value] if isinstance(value, list) else value
