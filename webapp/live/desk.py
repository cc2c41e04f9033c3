"""Who is live: sessions by their keys, and what came of their frames."""

import hashlib
import io
import math
import re
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import PIL.Image

from freeavatar.avatars import DEFAULT_AVATAR, Avatar, available_avatars, avatar_path, load_avatar
from freeavatar.errors import AvatarError, InputError
from freeavatar.framing import FRAMINGS
from freeavatar.images import decode_image
from freeavatar.performance.regions import REGIONS, Regions
from freeavatar.pipeline import shared_bundle
from freeavatar.pipeline.live import Live, LiveMoment, LiveSettings
from freeavatar.render.stage import stage_of
from webapp.common.avatars import label_of, portrait_url, visible_avatars
from webapp.common.doors import LOOPBACK
from webapp.live.streams import SessionStreams

IDLE = 20.0
"""Seconds without a frame or a change after which a session may end."""
MOST_SESSIONS = 4
"""Visitors that are live at once; more would be too slow for everybody."""
MOST_AVATARS = 4
"""Avatars that one face drives at once."""
LARGEST_FRAME = 300_000
"""Bytes of the largest frame that is looked at."""
_MOST_PIXELS = 2_000_000
"""Of a frame: a few bytes can stand for any number of them."""
_KEY = re.compile(r"[\w-]{22}")
_DIGITS = 4
"""Decimals of the weights that are sent, and two fewer of degrees."""


@dataclass
class _Session:
    live: Live
    settings: LiveSettings = field(default_factory=LiveSettings)
    look: dict[str, Any] = field(default_factory=dict)
    """How a window of its own shows the avatars: ``framing`` and whether it is ``mirrored``."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    used: float = field(default_factory=time.monotonic)
    time: float = -math.inf
    streams: SessionStreams = field(default_factory=SessionStreams)

    def close(self) -> None:
        """Close what it sends to."""
        with self.lock:
            self.streams.close()


def watch_key(key: str) -> str:
    """What opens windows that show a session's avatars, and nothing else: the session's key does not follow from it."""
    return hashlib.sha256(key.encode()).hexdigest()[:24]


class LiveDesk:
    """The sessions; every visitor has a key of their own that nobody can guess."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self.send_hosts = set(LOOPBACK)
        """Where sessions may send, in lower case."""

    def cast(self, request: dict[str, Any]) -> dict[str, Any]:
        """Whom a visitor can drive: ``own`` in; ``avatars`` out, each with ``name``, ``label`` and ``portrait``."""
        names = visible_avatars([str(name) for name in request.get("own") or []])
        return {"avatars": [{"name": name, "label": label_of(name), "portrait": portrait_url(name)} for name in names]}

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Open a session: what :meth:`change` takes in; ``key``, and ``watch`` for windows that show it, out.

        A visitor who gives the ``key`` of before gets it again, so that windows that are open elsewhere go on.

        Raises:
            InputError: too many visitors are live already, or a setting is out of its range.
        """
        session = _Session(Live(shared_bundle(), _avatars(request.get("avatars"))))
        _change(session, request)
        key = str(request.get("key"))
        key = key if _KEY.fullmatch(key) else secrets.token_urlsafe(16)
        self._end_idle(key)
        with self._lock:
            if len(self._sessions) >= MOST_SESSIONS:
                raise InputError("{} visitors are live already: try again in a minute.", MOST_SESSIONS)
            self._sessions[key] = session
        return {"key": key, "watch": watch_key(key)}

    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """Close a session."""
        with self._lock:
            session = self._sessions.pop(str(request.get("key")), None)
        if session is not None:
            session.close()
        return {}

    def close(self) -> None:
        """Close every session."""
        for key in list(self._sessions):
            self.stop({"key": key})

    def change(self, request: dict[str, Any]) -> dict[str, Any]:
        """Let ``avatars``, ``smoothing``, ``gain``, ``head``, ``idle``, ``regions`` and ``look`` be these from the next
        frame on.

        Raises:
            InputError: the session has ended, or a setting is out of its range.
        """
        session = self._session(request)
        avatars = _avatars(request.get("avatars"))
        with session.lock:
            session.used = time.monotonic()
            _change(session, request)
            if [avatar.name for avatar in avatars] != session.live.cast:
                session.live.change_cast(avatars)
        return {}

    def calibrate(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take the face of this moment for neutral.

        Raises:
            InputError: the session has ended.
            FaceError: no face is in sight.
        """
        session = self._session(request)
        with session.lock:
            session.live.calibrate()
        return {}

    def send(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send what the first avatar plays to ``urls``, and to no others, from the next frame on.

        Raises:
            InputError: the session has ended, or a URL cannot be used or leads to another machine.
        """
        session = self._session(request)
        with session.lock:
            self._session(request)  # it may have ended meanwhile
            session.used = time.monotonic()
            session.streams.change(request.get("urls"), self.send_hosts)
        self._watch()
        return {}

    def step(self, request: dict[str, Any]) -> dict[str, Any]:
        """Follow a frame: ``jpeg`` (bytes) and ``time`` (seconds) in; what the avatars play out.

        Returns:
            ``time``; ``found``; ``placement`` of the face; ``milliseconds`` it took; ``look``; and ``avatars``, by name
            their ``controls`` ``(K,)`` in [0, 1] and ``head`` ``(3,)`` in degrees. Of a frame that comes after a later
            one only ``is_late``.

        Raises:
            InputError: the session has ended, or the picture or its time cannot be read.
        """
        session = self._session(request)
        started = time.perf_counter()
        image = _image(request.get("jpeg"))
        at = _seconds(request.get("time"))
        with session.lock:
            if at <= session.time:
                return {"is_late": True}
            session.used, session.time = time.monotonic(), at
            moment = session.live.step(image, at, session.settings)
            session.streams.send(moment)
            look = session.look
        return {**_told(moment), "look": look, "milliseconds": round(1000 * (time.perf_counter() - started), 1)}

    def _end_idle(self, key: str = "") -> None:
        """End the sessions that nobody has used for a while, and the one with this key."""
        now = time.monotonic()
        with self._lock:
            ended = {k: s for k, s in self._sessions.items() if now - s.used >= IDLE or k == key}
            self._sessions = {k: s for k, s in self._sessions.items() if k not in ended}
        for session in ended.values():
            session.close()

    def _watch(self) -> None:
        """While anything is sent, end sessions that nobody uses any more: no program is to keep their last face."""
        with self._lock:
            if self._timer is None and any(session.streams for session in self._sessions.values()):
                self._timer = threading.Timer(IDLE, self._look)
                self._timer.daemon = True
                self._timer.start()

    def _look(self) -> None:
        self._end_idle()
        with self._lock:
            self._timer = None
        self._watch()

    def _session(self, request: Mapping[str, Any]) -> _Session:
        session = self._sessions.get(str(request.get("key")))
        if session is None:
            raise InputError("this session has ended: press Start again.")
        return session


def _change(session: _Session, request: Mapping[str, Any]) -> None:
    regions = {str(name): float(scale) for name, scale in (request.get("regions") or {}).items()}
    if strange := sorted(set(regions) - set(REGIONS)):
        raise InputError("there is no region {!r}: use {}.", strange[0], ", ".join(REGIONS))
    session.settings = LiveSettings(
        smoothing=float(request.get("smoothing", LiveSettings.smoothing)), gain=float(request.get("gain", 1.0)),
        regions=Regions(**regions), has_head_pose=bool(request.get("head", True)),
        is_idling=bool(request.get("idle", True)),
    )  # fmt: skip
    look = request.get("look") or {}
    framing = look.get("framing")
    session.look = {
        "framing": framing if framing in FRAMINGS else FRAMINGS[0], "mirrored": bool(look.get("mirrored", True))
    }  # fmt: skip


def _told(moment: LiveMoment) -> dict[str, Any]:
    return {
        "time": moment.time, "found": moment.confidence > 0, "placement": moment.placement,
        "avatars": {
            name: {
                "controls": np.round(played.controls.astype(float), _DIGITS).tolist(),
                "head": np.round(played.head.astype(float), _DIGITS - 2).tolist(),
            }
            for name, played in moment.played.items()
        },
    }  # fmt: skip


def _image(data: Any) -> np.ndarray:
    if not isinstance(data, bytes) or not 0 < len(data) <= LARGEST_FRAME:
        raise InputError("the browser sent no picture that can be used: reload the page.")
    try:
        with PIL.Image.open(io.BytesIO(data), formats=["JPEG"]) as header:
            width, height = header.size
    except (OSError, PIL.Image.DecompressionBombError) as error:
        raise InputError("the browser sent a damaged picture: reload the page.") from error
    if width * height > _MOST_PIXELS:
        raise InputError("the browser sent a picture of {} x {} pixels: reload the page.", width, height)
    try:
        return decode_image(data, "the picture")
    except InputError as error:
        raise InputError("the browser sent a damaged picture: reload the page.") from error


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise InputError("the browser sent no picture that can be used: reload the page.")
    return seconds


def _avatars(names: Any) -> list[Avatar]:
    known = available_avatars()
    asked: Sequence[Any] = names if isinstance(names, list) else []
    chosen = [name for name in dict.fromkeys(map(str, asked)) if name in known][:MOST_AVATARS]
    return [known_avatar(name) for name in chosen or [DEFAULT_AVATAR]]


def known_avatar(name: str) -> Avatar:
    """An avatar that ships or was added, read once for all sessions.

    Raises:
        AvatarError: there is none of that name.
    """
    if name not in available_avatars():
        raise AvatarError("there is no avatar {!r}.", name)
    return _read(name, avatar_path(name).stat().st_mtime_ns)


@lru_cache(maxsize=12)
def _read(name: str, _modified: int) -> Avatar:
    return load_avatar(name)


def describe(name: str) -> dict[str, Any]:
    """What the page needs to draw an avatar: see :func:`freeavatar.render.stage.stage_of`; ``url`` of its GLB is
    relative to where this is had.

    Raises:
        AvatarError: there is none of that name.
    """
    avatar = known_avatar(name)
    return {**stage_of(avatar), "label": label_of(name), "url": f"{name}.glb?{avatar.content[:16]}"}
