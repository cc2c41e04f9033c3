"""What the server answers a script of the page."""

import logging
import sqlite3
from collections.abc import Callable
from typing import Any

from annotation.store.store import UnavailableError
from freeavatar.errors import FreeAvatarError, Message
from webapp.common.words import DEFAULT, WORDS, say, translated

Reply = dict[str, Any]
_LOG = logging.getLogger(__name__)


def language_in(request: Reply) -> str:
    """The language that a script of the page asks for."""
    language = request.get("language")
    return language if language in WORDS else DEFAULT


def explained(act: Callable[[Reply], Reply]) -> Callable[[Any], Reply]:
    """An action that replies with ``error`` instead of raising, and with text for messages.

    ``is_temporary`` says whether the same request may succeed later: the page decides whether to send it again.
    """

    def reply(request: Any) -> Reply:
        request = request if isinstance(request, dict) else {}
        try:
            return _shown(act(request), language_in(request))
        except FreeAvatarError as error:
            is_temporary = isinstance(error, UnavailableError)
            return {"error": translated(error, language_in(request)), "is_temporary": is_temporary}
        except (OSError, sqlite3.Error) as error:
            return {"error": say(language_in(request), "reply.unavailable", error=error), "is_temporary": True}
        except Exception as error:
            _LOG.exception("%s failed", act.__name__)
            return {"error": say(language_in(request), "reply.failed", error=error), "is_temporary": False}

    reply.__name__ = act.__name__
    return reply


def _shown(value: Any, language: str) -> Any:
    """A reply with its messages as text."""
    if isinstance(value, Message):
        return translated(value, language)
    if isinstance(value, dict):
        return {key: _shown(one, language) for key, one in value.items()}
    return [_shown(one, language) for one in value] if isinstance(value, list) else value
