"""Live: the webcam drives avatars that the browser draws."""

from pathlib import Path
from typing import Any, cast

import gradio as gr

from freeavatar.avatars import DEFAULT_AVATAR
from webapp.common.replies import explained
from webapp.common.scripts import script
from webapp.common.words import words_under
from webapp.live.desk import MOST_AVATARS
from webapp.live.routes import DESK
from webapp.live.streams import MOST_STREAMS, PRESETS

_HERE = Path(__file__).parent
CSS = (_HERE / "live.css").read_text()


def build(own: gr.BrowserState) -> None:
    """Lay the part out inside the current ``gr.Blocks``.

    Args:
        own: names of avatars that the visitor added.
    """
    page = gr.HTML(
        value=cast(Any, []),
        html_template='<div class="fa-live"></div>',
        js_on_load=script(
            _HERE / "page.js", words="live.", AVATAR=DEFAULT_AVATAR, MOST=MOST_AVATARS, REGIONS=words_under("region."),
            MOST_STREAMS=MOST_STREAMS, PRESETS=PRESETS,
        ),
        server_functions=[
            explained(act) for act in (DESK.cast, DESK.start, DESK.change, DESK.calibrate, DESK.send, DESK.stop)
        ],
        apply_default_css=False,
        elem_id="live",
    )  # fmt: skip
    own.change(lambda names: names, own, page, queue=False, api_visibility="private", show_progress="hidden")
