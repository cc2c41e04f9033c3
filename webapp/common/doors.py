"""The one password of everything that changes things for all, or shows what people gave."""

import hmac
import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from starlette.responses import PlainTextResponse

from freeavatar.errors import Message
from webapp.common.words import say

PASSWORD = "FREEAVATAR_ADMIN_PASSWORD"
"""Environment variable with the password."""
_ELSEWHERE = Message(
    "This app has no password and answers this machine alone: set {}, or leave out the tabs that need one (--tabs "
    "animate label).",
    (PASSWORD,),
)
_WRONG_PAUSE = 1.0


LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
"""Names of this machine, as nobody else can reach it."""
_FORWARDED = {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"}


class LocalOnly:
    """ASGI middleware: refuses requests that a proxy, or a page from elsewhere, brings to an app without a password.

    A proxy on this machine makes everybody look like somebody on this machine. It is known by what it adds to a
    request, and by the names in it; one that adds nothing and hides the name looks like a visitor from here.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and is_from_elsewhere({k.decode().lower(): v.decode() for k, v in scope["headers"]}):
            await PlainTextResponse(str(_ELSEWHERE), status_code=403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a request, with its headers in lower case, shows that it does not come from this machine."""
    names = [urlsplit(f"//{headers.get('host', '127.0.0.1')}").hostname]
    if headers.get("origin"):
        names.append(urlsplit(headers["origin"]).hostname)
    return bool(_FORWARDED & headers.keys()) or any(name not in LOOPBACK for name in names)


def is_allowed(host: str) -> bool:
    """Whether tabs behind the door may be served on an address: with a password everywhere, else on loopback alone."""
    return bool(os.environ.get(PASSWORD)) or host in ("127.0.0.1", "localhost", "::1")


def password_set() -> bool:
    """Whether a password is asked for."""
    return bool(os.environ.get(PASSWORD))


def is_password(typed: str, password: str) -> bool:
    """Whether somebody knows the password; a wrong one costs a pause."""
    if hmac.compare_digest(typed.encode(), password.encode()):
        return True
    time.sleep(_WRONG_PAUSE)
    return False


def check_password(typed: str, language: str) -> None:
    """Let in who knows the password.

    Raises:
        gr.Error: this is not it; after a pause.
    """
    if not is_password(typed, os.environ.get(PASSWORD, "")):
        raise gr.Error(say(language, "door.wrong"), title=say(language, "door.closed"))


def check_signed_in(is_in: bool, language: str) -> None:
    """Refuse who gave no password.

    Raises:
        gr.Error: nobody signed in.
    """
    if not is_in:
        raise gr.Error(say(language, "door.first"), title=say(language, "door.closed"))
