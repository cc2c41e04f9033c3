"""One moment of a run: actor and avatar at a second, with the settings as they stand, and the curves around it."""

from functools import lru_cache
from typing import Any

import gradio as gr
import numpy as np

from freeavatar.errors import FreeAvatarError
from freeavatar.pipeline import Player, load_take, missing_spans, most_moving
from freeavatar.rig import ARKIT
from freeavatar.video import VideoReader
from webapp.animate.backdrop import backdrop
from webapp.animate.controls import DEFAULTS, REGIONS, options_of, seen, settings_of
from webapp.animate.runs import Run, load_run
from webapp.common.avatars import label_of
from webapp.common.pictures import picture_url
from webapp.common.words import language_of, say, translated

SIZE = 400
"""Height of the pictures."""
_MOST_POINTS = 1500
"""Points of a curve that are drawn; more would not be seen."""

Pinned = dict[str, Any] | None
"""Avatar and settings that the present ones are compared with."""


@lru_cache(maxsize=6)
def _player(path: str, _modified: int) -> Player:
    return Player(load_take(path))


def player_of(run: Run) -> Player:
    """A run's take, read once."""
    path = run.folder / run.take
    return _player(str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _actor(video: str, _modified: int, second: float, avatars: int) -> str:
    """The actor's panel of a side-by-side video, whose other panels are square: closer keyframes than the input's."""
    image = VideoReader(video).frame_at(second).image
    return picture_url(image[:, : image.shape[1] - avatars * image.shape[0]], height=SIZE)


def faces_at(
    request: gr.Request | None, id: str | None, second: float, avatar: str, pinned: Pinned, *values: Any
) -> Any:  # fmt: skip
    """Pictures of a moment: the actor, the pinned look if there is one, and the avatar with these settings."""
    if not id:
        return gr.skip()
    language = language_of(request)
    try:
        run = load_run(id)
        player, modified = player_of(run), run.video.stat().st_mtime_ns
        shown = len(run.avatars) if run.combined else 1
        actor = {"name": say(language, "clip.actor"), "src": _actor(str(run.video), modified, second, shown)}
        now = {"avatar": avatar or run.avatars[0], "settings": seen(settings_of(values))}
        return {"faces": [actor, *(_face(player, look, second, language) for look in (pinned, now) if look)]}
    except FreeAvatarError as error:
        return {"faces": [], "trouble": translated(error, language)}


def _face(player: Player, look: dict[str, Any], second: float, language: str) -> dict[str, str]:
    options = options_of(look["settings"])
    behind = backdrop(options.background, SIZE)
    picture = player.picture(look["avatar"], second, options, size=SIZE, background=behind)
    return {"name": _caption(look, language), "src": picture_url(picture)}


def _caption(look: dict[str, Any], language: str) -> str:
    """The avatar, and every setting that is not the default."""
    settings = look["settings"]
    named = {"gain": "controls.gain", "smoothing": "controls.smoothing", **{name: f"region.{name}" for name in REGIONS}}
    values = {name: settings[name] * (name not in REGIONS or name in settings["on"]) for name in named}
    changed = [f"{say(language, named[n])} {value:g}" for n, value in values.items() if value != DEFAULTS[n]]
    kind = settings["calibration"]
    neutral = [] if kind == "auto" else [say(language, f"controls.calibration.{kind}")]
    chosen = [name for name in ("framing", "background") if settings[name] != DEFAULTS[name]]
    seen_as = [say(language, f"controls.{name}.{settings[name]}") for name in chosen]
    return ", ".join([label_of(look["avatar"]), *changed, *neutral, *seen_as])


def curves_of(request: gr.Request | None, id: str | None, avatar: str, *values: Any) -> Any:
    """Curves of the channels that moved most, and the confidence below, as the page's script takes them."""
    if not id:
        return gr.skip()
    try:
        run = load_run(id)
        player = player_of(run)
        played = player.perform(avatar or run.avatars[0], options_of(seen(settings_of(values))))
    except FreeAvatarError as error:
        return {"trouble": translated(error, language_of(request))}
    step = max(1, len(played.times) // _MOST_POINTS)
    names = most_moving(played)
    return {
        "times": np.round(played.times[::step], 4).tolist(),
        "curves": [
            {"name": name, "values": np.round(played.weights[::step, ARKIT.index(name)], 3).tolist()}
            for name in names
        ],
        "confidence": np.round(played.confidence[::step], 3).tolist(),
        "missing": missing_spans(played.times, played.confidence, float(played.rate)),
    }  # fmt: skip
