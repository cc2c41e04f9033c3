"""Before the run: the video, which part of it, whose face, and how that reads."""

import html
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import gradio as gr
import numpy as np

from freeavatar.avatars import DEFAULT_AVATAR
from freeavatar.errors import FaceError, FreeAvatarError
from freeavatar.pipeline import Person, find_people, preview
from freeavatar.pipeline.sources import open_source
from freeavatar.video import VideoReader
from webapp.animate.backdrop import backdrop
from webapp.animate.controls import Clip, Controls, options_of, seen, settings_of
from webapp.common.boxes import note, trouble
from webapp.common.pictures import picture_url
from webapp.common.scripts import script
from webapp.common.words import language_of, say, translated, word

MAX_SECONDS = 600
"""Longest part of a clip the web app takes; the command line has no limit."""
EXAMPLES = Path(__file__).parents[2] / "examples"
"""A driving clip of a rendered actor, and what became of it."""
_HERE = Path(__file__).parent
_SIZE = 320


@dataclass(frozen=True)
class ClipInputs:
    """The components."""

    video: gr.Video
    start: gr.Slider
    end: gr.Slider
    face: gr.State
    box: gr.State
    people: gr.Gallery
    drawer: gr.HTML
    draw: gr.Button
    preview: gr.HTML

    @property
    def values(self) -> list[Any]:
        """Inputs of a run, in the order that :func:`clip_of` takes them."""
        return [self.video, self.start, self.end, self.face, self.box]


def warm_up() -> None:
    """Load and compile what a preview needs, so that the first visitor's comes as soon as any other."""
    with suppress(FreeAvatarError):
        preview(EXAMPLES / "actor.mp4", size=_SIZE)


def clip_of(start: float | None, end: float | None, face: int | None, box: Any) -> Clip:
    """The part and the face that were chosen; an end of 0 is the clip's own."""
    return Clip(float(start or 0), float(end) if end else None, int(face or 0), tuple(box) if box else None)


def build_clip() -> ClipInputs:
    """Lay video, part and person out."""
    video = gr.Video(label=word("clip.actor"), sources=["upload", "webcam"], height=320, elem_id="actor")
    if (clip := EXAMPLES / "actor.mp4").exists():
        gr.Examples([[str(clip)]], inputs=[video], label=cast(Any, word("clip.example")), cache_examples=False)
    people = gr.Gallery(
        label=word("clip.people"), columns=4, height="auto", object_fit="cover", allow_preview=False,
        interactive=False, buttons=[], visible=False, elem_id="people",
    )  # fmt: skip
    seen = gr.HTML("", elem_id="preview")
    drawer = gr.HTML(
        html_template='<div class="fa-drawer"></div>', visible=False, elem_id="drawer",
        js_on_load=script(_HERE / "drawer.js", words="drawer.", events=["draw"]),
    )  # fmt: skip
    with gr.Accordion(word("clip.part"), open=False, elem_id="part"):
        start = gr.Slider(0, MAX_SECONDS, 0, step=0.01, label=word("clip.start"), elem_id="start")
        end = gr.Slider(0, MAX_SECONDS, 0, step=0.01, label=word("clip.end"), info=word("clip.end.info"), elem_id="end")
        draw = gr.Button(word("clip.draw"), size="sm", elem_id="draw")
    return ClipInputs(video, start, end, gr.State(0), gr.State(None), people, drawer, draw, seen)


def connect_clip(inputs: ClipInputs, chosen: gr.CheckboxGroup, controls: Controls) -> None:
    """Let the inputs act: a new video is looked at, a choice shows its preview."""
    hidden: Any = {"api_visibility": "private", "show_progress": "hidden"}
    parts = [inputs.start, inputs.end, inputs.face, inputs.box]
    seeing = [inputs.video, *parts, chosen, *controls.components]
    shows = [inputs.preview, inputs.drawer]
    inputs.video.change(lambda: (0, 0, 0, None), None, parts, queue=False, **hidden)
    loaded = inputs.video.change(
        look, inputs.video, [inputs.people, *parts, inputs.drawer, inputs.preview],
        concurrency_id="small", concurrency_limit=2, **hidden,
    )  # fmt: skip
    again: Any = {"trigger_mode": "always_last", "concurrency_id": "small", **hidden}
    loaded.then(see, seeing, shows, **again)
    gr.on([chosen.change, *controls.picturing], see, seeing, shows, **again)
    begun = inputs.start.release(
        look_from, [inputs.video, inputs.start], [inputs.people, inputs.face, inputs.box],
        concurrency_id="small", concurrency_limit=2, **hidden,
    )  # fmt: skip
    begun.then(see, seeing, shows, **again)
    picked = inputs.people.select(_picked, None, [inputs.face, inputs.box], queue=False, **hidden)
    picked.then(see, seeing, shows, **again)
    inputs.draw.click(frame_to_draw, [inputs.video, inputs.start], inputs.drawer, queue=False, **hidden)
    inputs.drawer.draw(_drawn, None, inputs.box, queue=False, **hidden).then(see, seeing, shows, **again)


def look(request: gr.Request, video: str | None) -> tuple[Any, ...]:
    """Look at a new video: who is in it, and how long it is."""
    if not video:
        return (gr.Gallery(visible=False), gr.skip(), gr.skip(), 0, None, gr.HTML(visible=False), "")
    language = language_of(request)
    try:
        seconds = VideoReader(video).info.duration  # a browser's recording has none
        found = _people(video, 0.0, None)
    except FreeAvatarError as error:
        said = trouble(translated(error, language))
        return gr.Gallery(visible=False), gr.skip(), gr.skip(), 0, None, gr.HTML(visible=False), said
    length = round(seconds or MAX_SECONDS, 2)
    return (
        _thumbnails(found, language), gr.Slider(maximum=length, value=0),
        gr.Slider(maximum=length, value=length if seconds else 0), 0, None, gr.HTML(visible=False),
        note(say(language, "clip.looking")),
    )  # fmt: skip


def look_from(request: gr.Request, video: str | None, start: float) -> tuple[Any, int, None]:
    """Who is there at another beginning; whom and what was chosen before is not."""
    if not video:
        return gr.skip(), 0, None
    try:
        return _thumbnails(_people(video, float(start or 0), None), language_of(request)), 0, None
    except FreeAvatarError:  # the preview says what is wrong
        return gr.Gallery(visible=False), 0, None


def _thumbnails(people: list[Person], language: str) -> Any:
    """Whom to choose from; nobody needs to be asked about one person."""
    faces = [(person.thumbnail, say(language, "clip.person", number=person.index + 1)) for person in people]
    return gr.Gallery(value=cast(Any, faces), visible=len(faces) > 1, selected_index=0 if len(faces) > 1 else None)


def see(
    request: gr.Request, video: str | None, start: float, end: float, face: int, box: Any, avatars: list[str],
    *values: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Show the tracked crop and the first chosen avatar at the beginning of the part."""
    if not video:
        return "", gr.skip()
    language = language_of(request)
    clip = clip_of(start, end, face, box)
    avatar = avatars[0] if avatars else DEFAULT_AVATAR
    try:
        options = options_of(_with_profile_or_none(seen(settings_of(values))), clip)
        people = [] if box else _people(video, clip.start, clip.end)
        second = people[min(face, len(people) - 1)].second if people else clip.start
        behind = backdrop(options.background, _SIZE)
        shown = preview(video, second, avatar, options=options, size=_SIZE, background=behind)
    except FaceError as error:
        words = translated(error, language) if clip.face else say(language, "clip.no_face")
        return trouble(words), frame_to_draw(request, video, start)
    except FreeAvatarError as error:
        return trouble(translated(error, language)), gr.skip()
    return _pair(shown.crop, shown.picture, say(language, "clip.reads", second=f"{shown.second:.1f}")), gr.skip()


def _with_profile_or_none(settings: dict[str, Any]) -> dict[str, Any]:
    """One frame shows no neutral of its own."""
    has_profile = settings["calibration"] == "profile" and settings["profile"]
    return settings if has_profile else {**settings, "calibration": "none"}


def frame_to_draw(request: gr.Request, video: str | None, start: float) -> Any:
    """The frame on which a box is drawn by hand."""
    if not video:
        return gr.skip()
    try:
        frame = open_source(Path(video)).frame_at(start).image
    except FreeAvatarError as error:
        raise gr.Error(translated(error, language_of(request))) from error
    height, width = frame.shape[:2]
    value = {"frame": picture_url(frame, height=480), "width": width, "height": height}
    return gr.HTML(value=cast(Any, value), visible=True)


@lru_cache(maxsize=16)
def _people(video: str, start: float, end: float | None) -> list[Person]:
    return find_people(video, start=start, end=end)


def _picked(event: gr.SelectData) -> tuple[int, None]:
    """Whose thumbnail was clicked; a box that was drawn no longer counts."""
    return event.index, None


def _drawn(event: gr.EventData) -> list[float]:
    return [float(number) for number in event.box][:4]


def _pair(crop: np.ndarray, picture: np.ndarray, words: str) -> str:
    pictures = "".join(f'<img src="{picture_url(image)}" alt="">' for image in (crop, picture))
    return f'<div class="fa-preview"><div>{pictures}</div><p>{html.escape(words)}</p></div>'
