"""The Explore tab: the expression space as a map of faces to walk around in."""

import os
import threading
from pathlib import Path

import gradio as gr

from annotation.pool.builtin import fill_builtin_later
from annotation.store.images import Embedder
from annotation.store.store import Store, default_path
from freeavatar.explore.export import plotly_script
from webapp.common.doors import PASSWORD
from webapp.common.replies import explained
from webapp.common.scripts import script
from webapp.explore.desk import Explorer

_HERE = Path(__file__).parent
CSS = (_HERE / "explore.css").read_text()
"""Styles of the page, for ``launch``: Gradio's scoped styles know no media queries."""


def build(path: Path | None = None, *, may_ask: bool = True) -> None:
    """Lay the tab out inside the current ``gr.Blocks``.

    Args:
        path: database of the labels, whose pool is shown; default the app's own.
        may_ask: whether visitors may queue questions, behind the Label admin tab's password if one is set.

    Raises:
        InputError: the database cannot be used.
    """
    store = Store(path or default_path())
    fill_builtin_later(store, Embedder())
    threading.Thread(target=_warm_up, name="explore-imports").start()
    uploads = Path(gr.utils.get_upload_folder())
    desk = Explorer(store, uploads=uploads, may_ask=may_ask, password=os.environ.get(PASSWORD, ""))
    gr.HTML(
        html_template='<div class="exp"></div>',
        js_on_load=script(_HERE / "page.js", words="explore.", PLOTLY=str(plotly_script())),
        server_functions=[explained(act) for act in desk.acts],
        apply_default_css=False,
        elem_id="explore",
    )


def _warm_up() -> None:
    """Import what takes seconds, before the first visitor waits for it."""
    import sklearn.cluster
    import sklearn.manifold
    import sklearn.metrics  # noqa: F401
