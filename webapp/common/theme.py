"""Colours and styles of the app, light and dark."""

import gradio as gr

THEME = gr.themes.Soft(
    primary_hue="teal", neutral_hue="slate", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    block_title_background_fill="none", block_title_padding="0", block_title_text_color="*body_text_color",
    block_title_text_color_dark="*body_text_color", block_label_text_color="*body_text_color",
    block_label_text_color_dark="*body_text_color", block_label_background_fill="*background_fill_primary",
)  # fmt: skip
CSS = """
.gradio-container { width: 100%; max-width: 1280px !important; margin: 0 auto !important; }
.fa-status { padding: 10px 14px; border-radius: 8px; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); color: var(--body-text-color); line-height: 1.5; }
.fa-track { margin-top: 8px; height: 8px; border-radius: 4px; overflow: hidden;
  background: var(--border-color-primary); }
.fa-fill { height: 100%; background: var(--color-accent); }
.fa-trouble { color: #b91c1c !important; }
.dark .fa-trouble { color: #fca5a5 !important; }
"""
