"""Playing a take: one picture at any time, at the speed of a slider."""

import threading
from functools import lru_cache
from pathlib import Path

import numpy as np

from freeavatar.avatars import DEFAULT_AVATAR, Avatar, avatar_path, load_avatar
from freeavatar.errors import InputError
from freeavatar.export.background import put_over
from freeavatar.files import content_id
from freeavatar.framing import Framing
from freeavatar.models import Bundle, adopted_bundle, bundle_id, choose_device, open_bundle
from freeavatar.performance import motion
from freeavatar.performance.editing import Neutral, around, edit
from freeavatar.performance.profile import Profile, make_profile
from freeavatar.performance.settings import EditSettings
from freeavatar.pipeline.acting import identity_key
from freeavatar.pipeline.take import Take
from freeavatar.render import Look, Renderer
from freeavatar.rig import Controls, Curves


class SharedRenderer:
    """A renderer that several threads may share; :func:`shared_renderer` keeps those in use."""

    def __init__(self, avatar: Avatar, *, device: str = "auto") -> None:
        self.avatar = avatar
        self._renderer = Renderer(avatar, device=choose_device(device))
        self._lock = threading.Lock()

    def draw(
        self, controls: Controls, index: int, *, size: int = 512, framing: Framing = "face",
        background: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Picture of one frame of what the avatar plays, ``(size, size, 3)`` uint8.

        Args:
            controls: what it plays.
            index: of the frame.
            size: side in pixels.
            framing: how much of the avatar is seen.
            background: what is behind it, ``(size, size, 3)`` uint8; default the studio.
        """
        look = Look((size, size)) if background is None else Look((size, size), background=None)
        with self._lock:
            picture = self._renderer.picture(
                controls.weights[index], controls.head[index], look=look, camera=self._renderer.camera(framing)
            )
        return picture if background is None else put_over(picture, background)


def shared_renderer(avatar: str | Path, *, device: str = "auto") -> SharedRenderer:
    """The renderer of an avatar, loaded at first use.

    Raises:
        AvatarError: it cannot be loaded.
    """
    path = avatar_path(avatar)
    return _shared(str(avatar), content_id(path) if path.is_file() else "", device)


@lru_cache(maxsize=8)
def _shared(avatar: str, _content: str, device: str) -> SharedRenderer:
    return SharedRenderer(load_avatar(avatar), device=device)


def shared_bundle(device: str = "auto") -> Bundle:
    """The adopted bundle, loaded at first use and again when another is adopted."""
    folder = adopted_bundle()
    return _opened(folder, bundle_id(folder), device)


@lru_cache(maxsize=2)
def _opened(folder: Path, _content: str, device: str) -> Bundle:
    return open_bundle(folder, device=choose_device(device))


def check_has_neutral(settings: EditSettings) -> None:
    """Refuse settings that leave no neutral to be kept in a profile.

    Raises:
        InputError: the calibration is ``none``.
    """
    if settings.calibration == "none":
        raise InputError("there is no neutral to save with calibration none: use auto, or mark a second.")


class Player:
    """A take on any avatar, with any settings."""

    def __init__(self, take: Take, *, bundle: Bundle | None = None, device: str = "auto") -> None:
        """Take over a take.

        Args:
            take: the take.
            bundle: weights to decode with; default the adopted ones.
            device: auto, cpu, cuda, cuda:1 or mps.
        """
        self.take = take
        self._bundle, self._device, self._lock = bundle, device, threading.Lock()
        self._decoded: dict[str, tuple[str, str]] = {}
        self._neutrals: dict[tuple[tuple[str, str], object], Neutral] = {}

    def perform(self, avatar: str | Path, settings: EditSettings) -> Curves:
        """ARKit's blendshapes with these settings.

        Raises:
            AvatarError: the avatar cannot be loaded.
            WeightsError: the take holds nothing of it and was made with other weights.
            InputError: no face is in sight around the marked neutral second.
        """
        renderer = shared_renderer(avatar, device=self._device)
        take, _ = self._decode(renderer.avatar)
        return take.edited(renderer.avatar, settings)

    def picture(
        self, avatar: str | Path, second: float, settings: EditSettings, *, size: int = 512,
        background: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Picture of the avatar at a second of the take, ``(size, size, 3)`` uint8.

        Args:
            avatar: name of an avatar or path of a GLB file.
            second: of the take.
            settings: what becomes of the curves.
            size: side in pixels.
            background: what is behind the avatar, ``(size, size, 3)`` uint8; default the studio.

        Raises:
            As :meth:`perform`.
        """
        renderer = shared_renderer(avatar, device=self._device)
        take, key = self._decode(renderer.avatar)
        if (key, settings.calibration) not in self._neutrals:
            self._neutrals[key, settings.calibration] = take.neutral(renderer.avatar.content, settings)
        part, index = around(take.raw(renderer.avatar.content), take.index_at(second))
        edited = edit(part, settings, self._neutrals[key, settings.calibration])
        controls = take.controls(renderer.avatar, edited)
        return renderer.draw(controls, index, size=size, framing=settings.framing, background=background)

    def profile(self, name: str, settings: EditSettings) -> Profile:
        """The neutral of this take with these settings, to be kept; it goes by the first avatar's curves.

        Args:
            name: of the actor.
            settings: their calibration counts.

        Raises:
            InputError: no face is in sight around the marked neutral second, or nothing tells what is neutral.
        """
        check_has_neutral(settings)
        track = self.take.track
        if settings.calibration == "auto" and not motion.has_neutral(track.times, track.found):
            raise InputError(
                "the face is in sight for too short a time to find its neutral: mark a second at which it is neutral."
            )
        if not self.take.acted:
            self._decode(shared_renderer(DEFAULT_AVATAR, device=self._device).avatar)
        neutral = self.take.neutral(next(iter(self.take.acted)), settings)
        return make_profile(name, self.take.info.weights, neutral.weights, neutral.head)

    def _decode(self, avatar: Avatar) -> tuple[Take, tuple[str, str]]:
        """The take with what this avatar plays, and what that depends on."""
        key = identity_key(avatar)
        with self._lock:
            if self._decoded.get(avatar.content) != key:
                self.take = self.take.decode([avatar], self._bundle or shared_bundle(self._device))
                self._decoded[avatar.content] = key
            return self.take, key
