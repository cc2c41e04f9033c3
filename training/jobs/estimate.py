"""How long a run will take, measured on the spot."""

import time
from functools import lru_cache
from pathlib import Path

import torch

from freeavatar.models.config import read_config
from freeavatar.models.library import find_bundle
from freeavatar.networks import load_encoder
from training.data.features import ENCODED_VIEWS
from training.jobs.job import JobConfig
from training.renders.rehearsal import portraits_folder, rehearsal_folder

_PER_RENDER, _PER_FRAME, _START = 0.06, 0.1, 15.0
"""Seconds to render a face, to animate a frame of the example clip, and to start a stage; on one idle core."""
_PORTRAITS, _PER_REFIT, _PICTURES = 25.0, 0.12, 1000
"""Seconds to draw the cast, and for a step of the rig decoder; pictures with labels, a guess: how many there are
is not known before the run."""
_CLIP_FRAMES, _STAGES = 225, 3
_PER_STEP = 0.05
"""Seconds a step takes besides what it does for each image."""


def estimate_minutes(config: JobConfig) -> float:
    """Minutes a run takes on this machine's CPU: two steps are timed, the rest is reckoned.

    Raises:
        WeightsError: the base does not load.
    """
    plan = config.amount
    images = plan.steps * (plan.batch // config.processes) * 1.15
    if plan.backbone_rate == 0:
        images = min(images, ENCODED_VIEWS * (plan.rehearsal + _PICTURES))
    seconds = images * seconds_per_image(Path(config.base), plan.backbone_rate == 0) + plan.steps * _PER_STEP
    if not rehearsal_folder(plan.rehearsal).exists():
        seconds += _PER_RENDER * (plan.rehearsal + plan.validation)
    if plan.refit and has_renderer(Path(config.base)):
        views = 4 * (plan.rehearsal + _PICTURES)  # as they are and mirrored, by the old encoder and the new one
        seconds += 0.0 if portraits_folder().exists() else _PORTRAITS
        seconds += plan.refit * _PER_REFIT + views * seconds_per_image(Path(config.base), True) + _START
    if plan.has_clip:
        seconds += 2 * _PER_FRAME * _CLIP_FRAMES
    return (seconds + _STAGES * _START) / 60


@lru_cache(maxsize=8)
def has_renderer(base: Path) -> bool:
    """Whether a bundle has a neural renderer."""
    return bool(read_config(find_bundle(base)).get("renderer"))


@lru_cache(maxsize=8)
def seconds_per_image(base: Path, is_frozen: bool) -> float:
    """Seconds to learn from one image: forward, and unless the backbone is frozen, back and the teacher's forward."""
    encoder = load_encoder(find_bundle(base)).requires_grad_(True)
    encoder.backbone.requires_grad_(not is_frozen)
    size = encoder.config.image_size
    views = torch.rand(12, 1, size, size)
    times = []
    for _ in range(2):
        began = time.monotonic()
        feature, embedding = encoder(views)
        (feature.square().mean() + embedding.sum()).backward()
        if not is_frozen:
            with torch.no_grad():
                encoder(views)
        times.append(time.monotonic() - began)
    return min(times) / len(views)
