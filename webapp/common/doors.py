"""The one password of everything that changes things for all."""

import hmac
import os
import time

import gradio as gr

from webapp.common.words import say

PASSWORD = "FREEAVATAR_ADMIN_PASSWORD"
"""Environment variable with the password."""
_WRONG_PAUSE = 1.0


def is_allowed(host: str) -> bool:
    """Whether the admin tab may be served on an address: with a password everywhere, else on loopback alone."""
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
