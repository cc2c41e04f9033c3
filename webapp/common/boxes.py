"""Sentences in a box, as HTML."""

import html


def note(text: str, *, kind: str = "") -> str:
    """Something to know.

    Args:
        text: plain text.
        kind: a class of CSS beside the box's own.
    """
    return f'<div class="{f"fa-status {kind}".strip()}" role="status">{html.escape(text)}</div>'


def trouble(text: str) -> str:
    """Something that is wrong."""
    return f'<div class="fa-status fa-trouble" role="alert">{html.escape(text)}</div>'
