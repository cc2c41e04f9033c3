"""The web app.

python app.py [--host 127.0.0.1] [--port PORT] [--no-browser]
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning OpenMP threads starve the rasteriser's

import argparse

import gradio as gr

from freeavatar.errors import FreeAvatarError
from freeavatar.paths import home
from freeavatar.ui import animate
from freeavatar.ui.theme import CSS, THEME


def build() -> gr.Blocks:
    """Compose the tabs."""
    with gr.Blocks(title="FreeAvatar", delete_cache=(3600, 86400)) as demo:
        gr.Markdown("# FreeAvatar\nOne face video in, every avatar plays the same expression.")
        with gr.Tab("Animate"):
            animate.build()
    return demo


def launch(demo: gr.Blocks, **options: object) -> tuple:
    """Launch ``demo`` with the project's settings; ``options`` go to ``gr.Blocks.launch``."""
    return demo.queue(default_concurrency_limit=4).launch(
        theme=THEME, css=CSS, max_file_size="500mb", enable_monitoring=False, run_history=False,
        allowed_paths=[str(home() / "animations"), str(animate.EXAMPLES)], footer_links=[], **options,
    )  # fmt: skip


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="default: this machine only")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    args = parser.parse_args()
    try:
        launch(build(), server_name=args.host, server_port=args.port, inbrowser=not args.no_browser)
    except (OSError, FreeAvatarError) as error:
        raise SystemExit(f"freeavatar: the app cannot start: {error}") from None


if __name__ == "__main__":
    main()
