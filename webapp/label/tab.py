"""The Label tab: consent, practice, and one question after the other; also all that ``--tabs label`` serves."""

from pathlib import Path

import gradio as gr

from annotation.asking.desk import Desk
from annotation.people.session import Sessions
from annotation.pool.builtin import fill_builtin_later
from annotation.pool.index import LiveIndex
from annotation.store.images import Embedder, embed_missing, weights_id
from annotation.store.store import Store, default_path
from webapp.common.replies import explained
from webapp.common.scripts import script

_HERE = Path(__file__).parent
CSS = (_HERE / "label.css").read_text()
"""Styles of the page, for ``launch``: Gradio's scoped styles know no media queries."""


def open_sessions(path: Path | None = None) -> Sessions:
    """Open the labels for serving; the built-in pictures are rendered in the background if they are missing.

    Raises:
        InputError: the database cannot be used.
    """
    store, embedder = Store(path or default_path()), Embedder()
    fill_builtin_later(store, embedder)
    index = LiveIndex(
        store, embedder.weights, adopted=weights_id, embed=lambda: embed_missing(store, Embedder())
    )  # fmt: skip
    return Sessions(store, Desk(store, index))


def build(path: Path | None = None) -> None:
    """Lay the tab out inside the current ``gr.Blocks``.

    Args:
        path: the database; default the app's own.

    Raises:
        InputError: the database cannot be used.
    """
    sessions = open_sessions(path)
    acts = (sessions.hello, sessions.agree, sessions.practice, sessions.ask, sessions.answer, sessions.undo)
    gr.HTML(
        html_template='<div class="lab"></div>',
        js_on_load=script(_HERE / "page.js", words="label."),
        server_functions=[explained(act) for act in acts],
        apply_default_css=False,
        elem_id="label",
    )
