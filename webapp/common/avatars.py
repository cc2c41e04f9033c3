"""Whom to animate: the gallery of portraits, and avatars of the visitor's own."""

import html
import re
import secrets
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from freeavatar.avatars import DEFAULT_AVATAR, OWN, Avatar, add_avatar, available_avatars, portrait_of, public_avatars
from freeavatar.errors import FreeAvatarError, Message
from freeavatar.images import read_image
from freeavatar.render.preview import write_portrait
from webapp.common.pictures import picture_url
from webapp.common.words import language_of, say, translated, word


def visible_avatars(own: list[str]) -> list[str]:
    """Avatars that everybody sees, then those of this visitor."""
    public = public_avatars()
    return [name for name in available_avatars() if name in own or name in public]


def label_of(name: str) -> str:
    """How an avatar is called on the page."""
    match = OWN.fullmatch(name)
    return match[1] if match else name


def add_own(path: Path) -> tuple[str, tuple[Message, ...]]:
    """Add a visitor's GLB: its name, and what was found in it.

    Raises:
        AvatarError, InputError: it cannot be driven or kept.
    """
    stem = re.sub(r"[^a-z0-9_]+", "-", path.stem.lower()).strip("-_")[:24] or "avatar"
    added = add_avatar(path, draw=_draw, name=f"{stem}-{secrets.token_hex(6)}")
    return added.name, added.findings


def _draw(avatar: Avatar, folder: Path) -> None:
    write_portrait(avatar, folder / f"{avatar.name}.png")


def portrait_url(name: str) -> str:
    """An avatar's portrait as a small data URL; empty if it has none."""
    path = portrait_of(name)
    return _small(path, path.stat().st_mtime_ns) if path else ""


@lru_cache(maxsize=256)
def _small(path: Path, _modified: int) -> str:
    return picture_url(read_image(path), height=120)


def _pictures(own: list[str]) -> str:
    """A style sheet that lays its portrait over each box."""
    rules = (
        f'#avatars label:has([title="{name}"])::before {{ background-image: url({portrait_url(name)}) !important }}'
        for name in visible_avatars(own)
    )
    return f"<style>{' '.join(rules)}</style>"


def choices_of(own: list[str]) -> list[tuple[str, str]]:
    """Label and name of every avatar that a visitor sees."""
    return [(label_of(name), name) for name in visible_avatars(own)]


def _report(name: str, findings: tuple[Message, ...], language: str) -> str:
    items = "".join(f"<li>{html.escape(translated(finding, language))}</li>" for finding in findings)
    head = html.escape(say(language, "avatars.added", name=label_of(name)))
    return f'<div class="fa-status" role="status"><b>{head}</b><ul>{items}</ul></div>'


@dataclass(frozen=True)
class Cast:
    """The components."""

    chosen: gr.CheckboxGroup
    own: gr.BrowserState
    """Names of the avatars that this visitor added."""


def build_cast() -> Cast:
    """Lay the gallery out."""
    own = gr.BrowserState([], storage_key="freeavatar.avatars", secret="freeavatar")
    pictures = gr.HTML(_pictures([]), elem_id="portraits")
    chosen = gr.CheckboxGroup(
        choices_of([]), value=[DEFAULT_AVATAR], label=word("avatars"), info=word("avatars.info"), elem_id="avatars"
    )
    with gr.Accordion(word("avatars.own"), open=False, elem_id="own"):
        file = gr.File(label=word("avatars.own.file"), file_types=[".glb", ".vrm"], height=160, elem_id="own-file")
        report = gr.HTML("", elem_id="own-report")
    quiet: Any = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    file.upload(
        _add, [file, chosen, own], [report, chosen, pictures, own, file],
        concurrency_id="small", concurrency_limit=2, api_visibility="private", show_progress_on=report,
    )  # fmt: skip
    gr.on([own.change], _refresh, [own, chosen], [chosen, pictures], **quiet)
    return Cast(chosen, own)


def _add(path: str, chosen: list[str], own: list[str], request: gr.Request) -> tuple[Any, ...]:
    language = language_of(request)
    try:
        name, findings = add_own(Path(path))
    except FreeAvatarError as error:
        raise gr.Error(translated(error, language), title=say(language, "avatars.refused"), duration=None) from error
    own = [*own, name]
    boxes = gr.CheckboxGroup(choices=choices_of(own), value=[*chosen, name])
    return _report(name, findings, language), boxes, _pictures(own), own, None


def _refresh(own: list[str], chosen: list[str]) -> tuple[Any, str]:
    """Show what is there now; an avatar of a run that was opened by its link counts as the visitor's."""
    own = [*own, *chosen]
    return gr.CheckboxGroup(choices=choices_of(own)), _pictures(own)
