"""The controls: how strong, how calm, what is neutral, what is written; their values as settings of the pipeline and
back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr

from freeavatar.errors import InputError
from freeavatar.files import is_installed
from freeavatar.framing import FRAMINGS
from freeavatar.images import IMAGES
from freeavatar.pipeline import AnimateOptions, Profile, Regions, load_profile
from webapp.common.words import word

REGIONS = tuple(field.name for field in fields(Regions))
CALIBRATIONS = ("auto", "none", "second", "profile")
BACKGROUNDS = ("studio", "none", "color", "picture")
VIDEOS = ("webm", "prores", "png")
"""Kinds of a transparent video."""
NAMES = (
    "gain", "smoothing", "calibration", "second", "profile", "on", *REGIONS, "framing", "background", "color",
    "picture", "video", "usd", "reduce",
)  # fmt: skip
"""Names of the controls, in the order of their values everywhere."""
DEFAULTS: dict[str, Any] = {
    "gain": 1.0, "smoothing": 0.5, "calibration": "auto", "second": 0.0, "profile": None, "on": list(REGIONS),
    **dict.fromkeys(REGIONS, 1.0), "framing": "face", "background": "studio", "color": "#00b140", "picture": None,
    "video": "webm", "usd": False, "reduce": 0.0,
}  # fmt: skip

UPLOADS = {"profile": "calibration", "picture": "background"}
"""Files among the settings, and the choices that they count with."""


@dataclass(frozen=True)
class Clip:
    """Which part of a video, and whose face."""

    start: float = 0.0
    end: float | None = None
    face: int = 0
    box: tuple[float, float, float, float] | None = None


def settings_of(values: Sequence[Any]) -> dict[str, Any]:
    """Values of the controls by name; emptied boxes mean their defaults."""
    pairs = zip(NAMES, values, strict=True)
    return {name: DEFAULTS[name] if value is None else value for name, value in pairs}


def values_of(settings: dict[str, Any]) -> list[Any]:
    """The other way round, for settings that were stored."""
    return [settings.get(name, default) for name, default in DEFAULTS.items()]


def options_of(settings: dict[str, Any], clip: Clip | None = None) -> AnimateOptions:
    """Settings as the pipeline takes them.

    Raises:
        InputError: a value is out of its range, the profile is missing or damaged, or the background is missing.
    """
    clip, background = clip or Clip(), _background(settings)
    on = set(settings["on"])
    regions = Regions(**{name: float(settings[name]) * (name in on) for name in REGIONS})
    return AnimateOptions(
        smoothing=settings["smoothing"], calibration=_calibration(settings), gain=settings["gain"], regions=regions,
        has_head_pose=regions.head > 0, face=clip.face, box=clip.box, start=clip.start, end=clip.end,
        framing=settings["framing"], background=background, video=settings["video"] if background == "none" else None,
        has_usd=bool(settings["usd"]), reduce=float(settings["reduce"]),
    )  # fmt: skip


def seen(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a view, which does without a background that is yet to be chosen."""
    is_missing = settings["background"] == "picture" and not settings["picture"]
    return {**settings, "background": "studio"} if is_missing else settings


def _calibration(settings: dict[str, Any]) -> Any:
    kind = settings["calibration"]
    if kind == "second":
        return float(settings["second"])
    if kind != "profile":
        return kind
    return _profile(settings["profile"])


def _profile(path: str | None) -> Profile:
    if not path:
        raise InputError("no profile is chosen: upload the .json that was saved after a run, or calibrate otherwise.")
    return load_profile(Path(path))


def _background(settings: dict[str, Any]) -> str | None:
    kind = settings["background"]
    if kind == "picture":
        if not settings["picture"]:
            raise InputError("no picture is chosen for the background: upload one, or choose another background.")
        return str(settings["picture"])
    return {"studio": None, "color": _hex(settings["color"])}.get(kind, "none")


def _hex(color: str) -> str:
    """A colour as ``#204060``; pickers say ``rgba(32, 64, 96, 1)``, too."""
    if color.startswith("rgb"):
        color = "".join(f"{round(float(number)):02x}" for number in re.findall(r"[\d.]+", color)[:3])
    return "#" + color.removeprefix("#")


@dataclass(frozen=True)
class Controls:
    """The components, in the order of :data:`NAMES`."""

    components: list[Any]

    @property
    def picturing(self) -> list[Any]:
        """Events that change what is seen beside the face."""
        names = ("framing", "background", "color", "picture")
        return [self.components[NAMES.index(name)].change for name in names]

    @property
    def sliding(self) -> list[Any]:
        """Events of components whose every movement counts."""
        return [component.input for component in self.components if isinstance(component, gr.Slider)]

    @property
    def settling(self) -> list[Any]:
        """Events that end a movement, or choose."""
        changes = [c.change for c in self.components if not isinstance(c, gr.Slider)]
        return [*(c.release for c in self.components if isinstance(c, gr.Slider)), *changes]


def build_controls() -> Controls:
    """Lay the controls out."""
    with gr.Accordion(word("controls"), open=False, elem_id="settings"):
        acting = _build_acting()
    with gr.Accordion(word("controls.output"), open=False, elem_id="output"):
        output = _build_output()
    return Controls([*acting, *output])


def _build_acting() -> list[Any]:
    """What becomes of the curves."""
    gain = gr.Slider(0, 2, DEFAULTS["gain"], step=0.05, label=word("controls.gain"), elem_id="gain")
    smoothing = gr.Slider(
        0, 1, DEFAULTS["smoothing"], step=0.05, label=word("controls.smoothing"), info=word("controls.smoothing.info"),
        elem_id="smoothing",
    )  # fmt: skip
    calibration = gr.Radio(
        [(word(f"controls.calibration.{kind}"), kind) for kind in CALIBRATIONS], value="auto",
        label=word("controls.calibration"), info=word("controls.calibration.info"), elem_id="calibration",
    )  # fmt: skip
    second = gr.Number(0.0, label=word("controls.second"), minimum=0, visible=False, elem_id="second")
    profile = gr.File(
        label=word("controls.profile"), file_types=[".json"], visible=False, height=110, elem_id="profile"
    )
    calibration.change(
        lambda kind: (gr.Number(visible=kind == "second"), gr.File(visible=kind == "profile")),
        calibration, [second, profile], queue=False, api_visibility="private", show_progress="hidden",
    )  # fmt: skip
    with gr.Accordion(word("controls.regions"), open=False, elem_id="regions"):
        on = gr.CheckboxGroup(
            [(word(f"region.{name}"), name) for name in REGIONS], value=list(REGIONS), label=word("controls.regions.on")
        )
        with gr.Row(elem_classes="fa-regions"):
            scales = [
                gr.Slider(0, 2, 1.0, step=0.05, label=word(f"region.{name}"), min_width=140, elem_id=f"region-{name}")
                for name in REGIONS
            ]
    return [gain, smoothing, calibration, second, profile, on, *scales]


def _build_output() -> list[Any]:
    """What pictures show, and which files are written."""
    framing = gr.Radio(
        [(word(f"controls.framing.{framing}"), framing) for framing in FRAMINGS], value=DEFAULTS["framing"],
        label=word("controls.framing"), elem_id="framing",
    )  # fmt: skip
    background = gr.Radio(
        [(word(f"controls.background.{kind}"), kind) for kind in BACKGROUNDS], value=DEFAULTS["background"],
        label=word("controls.background"), info=word("controls.background.info"), elem_id="background",
    )  # fmt: skip
    color = gr.ColorPicker(DEFAULTS["color"], label=word("controls.color"), visible=False, elem_id="background-color")
    picture = gr.File(
        label=word("controls.picture"), file_types=sorted(IMAGES), visible=False, height=110,
        elem_id="background-picture",
    )  # fmt: skip
    video = gr.Radio(
        [(word(f"controls.video.{kind}"), kind) for kind in VIDEOS], value=DEFAULTS["video"],
        label=word("controls.video"), info=word("controls.video.info"), visible=False, elem_id="transparent-video",
    )  # fmt: skip
    background.change(
        lambda kind: (
            gr.ColorPicker(visible=kind == "color"), gr.File(visible=kind == "picture"),
            gr.Radio(visible=kind == "none"),
        ),
        background, [color, picture, video], queue=False, api_visibility="private", show_progress="hidden",
    )  # fmt: skip
    reduce = gr.Number(
        DEFAULTS["reduce"], label=word("controls.reduce"), info=word("controls.reduce.info"), step=0.001,
        elem_id="reduce",
    )  # fmt: skip
    usd = gr.Checkbox(
        DEFAULTS["usd"], label=word("controls.usd"), info=word("controls.usd.info"), visible=is_installed("pxr"),
        elem_id="usd",
    )  # fmt: skip
    return [framing, background, color, picture, video, usd, reduce]
