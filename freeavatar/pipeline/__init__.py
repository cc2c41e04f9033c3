"""The whole way from a file to animated avatars, and from images to embeddings."""

from freeavatar.pipeline.animation import animate, animate_steps
from freeavatar.pipeline.embedding import embed
from freeavatar.pipeline.options import AnimateOptions, Progress, Report

__all__ = ["AnimateOptions", "Progress", "Report", "animate", "animate_steps", "embed"]
