"""What the server answers a script of the page."""

import sqlite3
from collections.abc import Callable
from typing import Any

from freeavatar.errors import FreeAvatarError
from webapp.common.words import DEFAULT, WORDS

Reply = dict[str, Any]


def language_in(request: Reply) -> str:
    """The language that a script of the page asks for."""
    language = request.get("language")
    return language if language in WORDS else DEFAULT


def explained(act: Callable[[Reply], Reply]) -> Callable[[Any], Reply]:
    """An action that replies with ``error`` instead of raising; the page decides whether to try again."""

    def reply(request: Any) -> Reply:
        try:
            return act(request if isinstance(request, dict) else {})
        except FreeAvatarError as error:
            return {"error": str(error)}
        except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
            return {"error": f"The server could not do this ({error}): reload the page."}

    reply.__name__ = act.__name__
    return reply
