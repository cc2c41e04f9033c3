"""The controls: how strong, how calm, what is neutral; their values as settings of the pipeline and back."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr

from freeavatar.errors import InputError
from freeavatar.framing import FRAMINGS
from freeavatar.pipeline import AnimateOptions, Profile, Regions, load_profile
from webapp.common.words import word

REGIONS = tuple(field.name for field in fields(Regions))
CALIBRATIONS = ("auto", "none", "second", "profile")
NAMES = ("gain", "smoothing", "calibration", "second", "profile", "on", *REGIONS, "framing")
"""Names of the controls, in the order of their values everywhere."""
DEFAULTS: dict[str, Any] = {
    "gain": 1.0, "smoothing": 0.5, "calibration": "auto", "second": 0.0, "profile": None, "on": list(REGIONS),
    **dict.fromkeys(REGIONS, 1.0), "framing": "face",
}  # fmt: skip


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
        InputError: a value is out of its range, or the profile is missing or damaged.
    """
    clip = clip or Clip()
    on = set(settings["on"])
    regions = Regions(**{name: float(settings[name]) * (name in on) for name in REGIONS})
    return AnimateOptions(
        smoothing=settings["smoothing"], calibration=_calibration(settings), gain=settings["gain"], regions=regions,
        has_head_pose=regions.head > 0, face=clip.face, box=clip.box, start=clip.start, end=clip.end,
        framing=settings["framing"],
    )  # fmt: skip


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


@dataclass(frozen=True)
class Controls:
    """The components, in the order of :data:`NAMES`."""

    components: list[Any]

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
    framing = gr.Radio(
        [(word(f"controls.framing.{framing}"), framing) for framing in FRAMINGS], value=DEFAULTS["framing"],
        label=word("controls.framing"), elem_id="framing",
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
    return Controls([gain, smoothing, calibration, second, profile, on, *scales, framing])
