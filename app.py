"""The web app.

python app.py [--host 127.0.0.1] [--port PORT] [--no-browser] [--tabs TAB [TAB ...]] [--labels FILE]
              [--send-host HOST [HOST ...]]
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning OpenMP threads starve the rasteriser's

import argparse
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from freeavatar.animations import animations_folder
from freeavatar.errors import FreeAvatarError
from freeavatar.explore.export import plotly_script
from freeavatar.paths import avatars_folder
from webapp.admin import tab as admin
from webapp.animate import tab as animate
from webapp.common.doors import LOOPBACK, PASSWORD, LocalOnly, is_allowed, password_set
from webapp.common.scripts import scripts
from webapp.common.theme import CSS, THEME
from webapp.common.words import I18N, word
from webapp.explore import tab as explore
from webapp.label import tab as label
from webapp.live.routes import DESK, ROUTES
from webapp.train import tab as train

TABS = ("animate", "label", "explore", "train", "admin")
BEHIND_THE_DOOR = ("explore", "train", "admin")
"""Tabs that change things for all, or show the pictures of the pool: off this machine they need a password."""


def build(tabs: Sequence[str] = TABS, *, labels: Path | None = None) -> gr.Blocks:
    """Compose the tabs.

    Args:
        tabs: which; one alone has no bar and no heading.
        labels: database of the Label tab; default the app's own.
    """
    makers = {
        "animate": (word("tab.animate"), lambda: animate.build(demo)),
        "label": (word("tab.label"), lambda: label.build(labels)),
        "explore": (word("tab.explore"), lambda: explore.build(labels, may_ask="admin" in tabs)),
        "train": (word("tab.train"), lambda: train.build(labels)),
        "admin": (word("tab.admin"), lambda: admin.build(labels, opened=demo.load if len(tabs) == 1 else tab.select)),
    }
    gr.set_static_paths([*scripts(), *([plotly_script()] if {"animate", "explore"} & set(tabs) else [])])
    with gr.Blocks(title="FreeAvatar", delete_cache=(3600, 86400)) as demo:
        if len(tabs) == 1:
            makers[tabs[0]][1]()
            return demo
        gr.Markdown("# FreeAvatar", elem_id="title")
        gr.Markdown(word("app.lead"), elem_id="lead")
        for name in tabs:
            title, make = makers[name]
            with gr.Tab(title, elem_id=f"tab-{name}") as tab:
                make()
    return demo


def launch(demo: gr.Blocks, *, tabs: Sequence[str] = TABS, **options: object) -> tuple:
    """Launch ``demo`` with the project's settings; ``options`` go to ``gr.Blocks.launch``."""
    folders = (
        [str(path) for path in (animations_folder(), avatars_folder(), animate.EXAMPLES)] if "animate" in tabs else []
    )
    is_local = not password_set() and bool(set(tabs) & set(BEHIND_THE_DOOR))
    served: dict[str, Any] = {"routes": list(ROUTES)} if "animate" in tabs else {}
    if is_local:
        served["middleware"] = [Middleware(LocalOnly)]
    return demo.queue(default_concurrency_limit=4).launch(
        theme=THEME, css=CSS + animate.CSS + label.CSS + explore.CSS + train.CSS + admin.CSS, i18n=I18N,
        max_file_size="500mb" if {"animate", "explore"} & set(tabs) else "1kb",
        enable_monitoring=False, run_history=False, allowed_paths=folders, footer_links=[], share=False,
        app_kwargs=served, **options,
    )  # fmt: skip


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="default: this machine only")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    parser.add_argument("--tabs", nargs="+", choices=TABS, default=list(TABS), help="default: all")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="database of the Label tab")
    parser.add_argument(
        "--send-host",
        nargs="+",
        default=[],
        metavar="HOST",
        help="where Live may send; on this machine alone, 127.0.0.1 as well",
    )
    args = parser.parse_args()
    DESK.send_hosts = {host.lower() for host in args.send_host} | set(LOOPBACK if args.host in LOOPBACK else ())
    tabs = [name for name in args.tabs if name not in BEHIND_THE_DOOR or is_allowed(args.host)]
    try:
        if not tabs:
            raise FreeAvatarError(
                "off this machine the tabs explore, train and admin need a password: set {}.", PASSWORD
            )
        if "animate" in tabs:
            threading.Thread(target=animate.warm_up).start()
        launch(
            build(tabs, labels=args.labels), tabs=tabs,
            server_name=args.host, server_port=args.port, inbrowser=not args.no_browser,
        )  # fmt: skip
    except (OSError, FreeAvatarError) as error:
        raise SystemExit(f"freeavatar: the app cannot start: {error}") from None


if __name__ == "__main__":
    main()
