"""Live: the webcam drives an avatar in the browser, frame by frame."""

import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import gradio as gr

from freeavatar.avatars import DEFAULT_AVATAR, available_avatars, load_avatar
from freeavatar.errors import InputError
from freeavatar.performance.regions import REGIONS, Regions
from freeavatar.pipeline import shared_bundle
from freeavatar.pipeline.live import Live, LiveSettings
from webapp.common.avatars import label_of, portrait_url, visible_avatars
from webapp.common.pictures import image_of, picture_url
from webapp.common.replies import explained
from webapp.common.scripts import script
from webapp.common.words import words_under

IDLE = 20.0
"""Seconds without a frame after which a session ends."""
MOST_SESSIONS = 4
"""Visitors that are live at once; more would be too slow for everybody."""
_LARGEST_FRAME = 400_000
"""Bytes of the largest frame that is looked at, as text."""
_HERE = Path(__file__).parent


@dataclass
class _Session:
    live: Live
    lock: threading.Lock = field(default_factory=threading.Lock)
    used: float = field(default_factory=time.monotonic)


class LiveDesk:
    """Who is live; every visitor has a key of their own that nobody can guess."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Open a session: ``avatar`` in, ``key`` out.

        Raises:
            InputError: too many visitors are live already.
        """
        live = Live(shared_bundle(), load_avatar(_known(request.get("avatar"))))
        with self._lock:
            now = time.monotonic()
            self._sessions = {k: s for k, s in self._sessions.items() if now - s.used < IDLE}
            if len(self._sessions) >= MOST_SESSIONS:
                raise InputError("{} visitors are live already: try again in a minute.", MOST_SESSIONS)
            key = secrets.token_urlsafe(16)
            self._sessions[key] = _Session(live)
        return {"key": key}

    def cast(self, request: dict[str, Any]) -> dict[str, Any]:
        """Whom a visitor can drive: ``own`` in; ``avatars`` out, each with ``name``, ``label`` and ``portrait``."""
        names = visible_avatars([str(name) for name in request.get("own") or []])
        return {"avatars": [{"name": name, "label": label_of(name), "portrait": portrait_url(name)} for name in names]}

    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """Close a session."""
        with self._lock:
            self._sessions.pop(str(request.get("key")), None)
        return {}

    def calibrate(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take the face of this moment for neutral."""
        session = self._session(request)
        with session.lock:
            session.live.calibrate()
        return {}

    def step(self, request: dict[str, Any]) -> dict[str, Any]:
        """Animate a frame: ``jpeg`` (a data URL), ``time``, ``avatar`` and settings in, ``picture`` out.

        Raises:
            InputError: the session has ended, the picture cannot be read, or a setting is out of its range.
        """
        session = self._session(request)
        started = time.perf_counter()
        image = image_of(request.get("jpeg"), largest=_LARGEST_FRAME)
        regions = {str(name): float(scale) for name, scale in (request.get("regions") or {}).items()}
        if strange := sorted(set(regions) - set(REGIONS)):
            raise InputError("there is no region {!r}: use {}.", strange[0], ", ".join(REGIONS))
        settings = LiveSettings(
            smoothing=float(request.get("smoothing", LiveSettings.smoothing)), gain=float(request.get("gain", 1.0)),
            regions=Regions(**regions), has_head_pose=bool(request.get("head", True)),
            framing=request.get("framing", LiveSettings.framing),
        )  # fmt: skip
        with session.lock:
            session.used = time.monotonic()
            avatar = _known(request.get("avatar"))
            if avatar != session.live.avatar:
                session.live.change_avatar(load_avatar(avatar))
            frame = session.live.step(image, float(request["time"]), settings)
            picture = picture_url(frame.picture)
        seconds = time.perf_counter() - started
        return {"picture": picture, "found": frame.confidence > 0, "milliseconds": round(1000 * seconds, 1)}

    def _session(self, request: dict[str, Any]) -> _Session:
        session = self._sessions.get(str(request.get("key")))
        if session is None:
            raise InputError("this session has ended: press Start again.")
        return session


def _known(name: Any) -> str:
    names = available_avatars()
    return name if name in names else DEFAULT_AVATAR


def build(own: gr.BrowserState) -> None:
    """Lay the part out inside the current ``gr.Blocks``.

    Args:
        own: names of avatars that the visitor added.
    """
    desk = LiveDesk()
    page = gr.HTML(
        value=cast(Any, []),
        html_template='<div class="fa-live"></div>',
        js_on_load=script(_HERE / "page.js", words="live.", AVATAR=DEFAULT_AVATAR, REGIONS=words_under("region.")),
        server_functions=[explained(act) for act in (desk.cast, desk.start, desk.stop, desk.calibrate, desk.step)],
        apply_default_css=False,
        elem_id="live",
    )
    own.change(lambda names: names, own, page, queue=False, api_visibility="private", show_progress="hidden")
