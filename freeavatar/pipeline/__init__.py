"""The whole way from a file to animated avatars, and from images to embeddings."""

from freeavatar.performance.profile import Profile, load_profile, save_profile
from freeavatar.performance.regions import Regions
from freeavatar.performance.settings import AnimateOptions
from freeavatar.pipeline.animation import animate, animate_steps
from freeavatar.pipeline.embedding import embed
from freeavatar.pipeline.people import Person, find_people
from freeavatar.pipeline.player import Player, shared_bundle, shared_renderer
from freeavatar.pipeline.preview import Preview, preview
from freeavatar.pipeline.progress import Progress, Report
from freeavatar.pipeline.recordings import read_curves
from freeavatar.pipeline.take import Take, load_take, missing_spans, most_moving

__all__ = [
    "AnimateOptions", "Person", "Player", "Preview", "Profile", "Progress", "Regions", "Report", "Take", "animate",
    "animate_steps", "embed", "find_people", "load_profile", "load_take", "missing_spans", "most_moving", "preview",
    "read_curves", "save_profile", "shared_bundle", "shared_renderer",
]  # fmt: skip
