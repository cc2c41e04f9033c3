"""Colours and styles of the app, light and dark."""

import gradio as gr

THEME = gr.themes.Soft(
    primary_hue="teal", neutral_hue="slate", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)
CSS = """
.gradio-container { width: 100%; max-width: 1280px !important; margin: 0 auto !important; }
.fa-status { padding: 10px 14px; border-radius: 8px; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); color: var(--body-text-color); line-height: 1.5; }
.fa-track { margin-top: 8px; height: 8px; border-radius: 4px; overflow: hidden;
  background: var(--border-color-primary); }
#portraits, #portraits .grid-wrap, #people, #people .grid-wrap {
  min-height: 0 !important; height: auto !important; max-height: none !important; }
#portraits .grid-container { grid-template-columns: repeat(5, minmax(0, 1fr)) !important; gap: 6px; padding: 0; }
#portraits .caption-label { left: 0; right: 0; bottom: 0; max-width: 100%; padding: 1px 4px; border-radius: 0;
  font-size: 12px; text-align: center; }
.fa-fill { height: 100%; background: var(--color-accent); transition: width .2s linear; }
"""
