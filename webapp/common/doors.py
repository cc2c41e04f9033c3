"""The one password of everything that changes things for all."""

import hmac
import os
import time

import gradio as gr

PASSWORD = "FREEAVATAR_ADMIN_PASSWORD"
"""Environment variable with the password."""
_WRONG_PAUSE = 1.0


def is_allowed(host: str) -> bool:
    """Whether the admin tab may be served on an address: with a password everywhere, else on loopback alone."""
    return bool(os.environ.get(PASSWORD)) or host in ("127.0.0.1", "localhost", "::1")


def password_set() -> bool:
    """Whether a password is asked for."""
    return bool(os.environ.get(PASSWORD))


def check_password(typed: str) -> None:
    """Let in who knows the password.

    Raises:
        gr.Error: this is not it; after a pause.
    """
    if not hmac.compare_digest(typed.encode(), os.environ.get(PASSWORD, "").encode()):
        time.sleep(_WRONG_PAUSE)
        raise gr.Error("This is not the password.", title="Not signed in")
