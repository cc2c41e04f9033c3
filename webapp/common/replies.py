"""What the server answers a script of the page."""

import sqlite3
from collections.abc import Callable
from typing import Any

from freeavatar.errors import FreeAvatarError

Reply = dict[str, Any]


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
