"""Playing a take: one posed frame at any time, at the speed of a slider."""

import threading
from functools import lru_cache
from pathlib import Path

import numpy as np

from freeavatar.avatars import Avatar, avatar_path, load_avatar
from freeavatar.errors import InputError
from freeavatar.models import Bundle, adopted_bundle, bundle_id, open_bundle
from freeavatar.models.device import choose_device
from freeavatar.performance import motion
from freeavatar.performance.editing import around, edit
from freeavatar.performance.profile import Profile, make_profile
from freeavatar.performance.settings import AnimateOptions
from freeavatar.pipeline.animation import decode, retarget
from freeavatar.pipeline.take import Take
from freeavatar.render import Look, Renderer
from freeavatar.rig import Performance


class Poser:
    """A renderer that several threads may share; :func:`shared_poser` keeps those in use."""

    def __init__(self, avatar: Avatar, *, device: str = "auto") -> None:
        self.avatar = avatar
        self._renderer = Renderer(avatar, device=choose_device(device))
        self._lock = threading.Lock()

    def draw(self, played: Performance, index: int, *, size: int = 512) -> np.ndarray:
        """Picture of one frame of a performance of the avatar's own controls, ``(size, size, 3)`` uint8."""
        with self._lock:
            return self._renderer.picture(played.weights[index], played.head[index], look=Look((size, size)))


def shared_poser(avatar: str | Path, *, device: str = "auto") -> Poser:
    """The poser of an avatar, loaded at first use.

    Raises:
        AvatarError: it cannot be loaded.
    """
    path = avatar_path(avatar)
    return _poser(str(avatar), path.stat().st_mtime_ns if path.is_file() else 0, device)


@lru_cache(maxsize=8)
def _poser(avatar: str, _modified: int, device: str) -> Poser:
    return Poser(load_avatar(avatar), device=device)


def shared_bundle(device: str = "auto") -> Bundle:
    """The adopted bundle, loaded at first use and again when another is adopted."""
    folder = adopted_bundle()
    return _opened(folder, bundle_id(folder), device)


@lru_cache(maxsize=2)
def _opened(folder: Path, _content: str, device: str) -> Bundle:
    return open_bundle(folder, device=choose_device(device))


def check_has_neutral(options: AnimateOptions) -> None:
    """Refuse settings that leave no neutral to be kept in a profile.

    Raises:
        InputError: the calibration is ``none``.
    """
    if options.calibration == "none":
        raise InputError("there is no neutral to save with calibration none: use auto, or mark a second.")


class Player:
    """A take on any avatar, with any settings."""

    def __init__(self, take: Take, *, bundle: Bundle | None = None, device: str = "auto") -> None:
        """Take over a take.

        Args:
            take: the take.
            bundle: weights for avatars that the take has no rigs of; default the adopted ones.
            device: auto, cpu, cuda or mps.
        """
        self.take = take
        self._bundle, self._device, self._lock = bundle, device, threading.Lock()
        self._neutrals: dict[tuple[str, object], tuple[np.ndarray, np.ndarray]] = {}

    def perform(self, avatar: str | Path, options: AnimateOptions) -> Performance:
        """ARKit's blendshapes with these settings.

        Raises:
            AvatarError: the avatar cannot be loaded.
            WeightsError: the take has no rigs of it and was made with other weights.
            InputError: no face is in sight around the marked neutral second.
        """
        poser = shared_poser(avatar, device=self._device)
        self._decode(poser.avatar)
        return self.take.edited(poser.avatar.name, options)

    def pose(self, avatar: str | Path, second: float, options: AnimateOptions, *, size: int = 512) -> np.ndarray:
        """Picture of the avatar at a second of the take, ``(size, size, 3)`` uint8.

        Raises:
            As :meth:`perform`.
        """
        poser = shared_poser(avatar, device=self._device)
        self._decode(poser.avatar)
        name = poser.avatar.name
        part, index = around(self.take.performances[name], self.take.index_at(second))
        edited = edit(part, options, neutral=self._neutral(name, options))
        return poser.draw(retarget(poser.avatar, edited), index, size=size)

    def profile(self, name: str, options: AnimateOptions) -> Profile:
        """The neutral of this take with these settings, to be kept.

        Raises:
            InputError: no face is in sight around the marked neutral second, or nothing tells what is neutral.
        """
        check_has_neutral(options)
        first = next(iter(self.take.performances))
        track = self.take.track
        if options.calibration == "auto" and not motion.has_neutral(track.times, track.found):
            raise InputError(
                "the face is in sight for too short a time to find its neutral: mark a second at which it is neutral."
            )
        rig, rest = self._neutral(first, options)
        return make_profile(name, self.take.info.weights, self.take.performances[first].names, rig, rest)

    def _neutral(self, avatar: str, options: AnimateOptions) -> tuple[np.ndarray, np.ndarray]:
        key = avatar, options.calibration
        if key not in self._neutrals:
            self._neutrals[key] = self.take.neutral(avatar, options)
        return self._neutrals[key]

    def _decode(self, avatar: Avatar) -> None:
        with self._lock:
            if avatar.name not in self.take.performances:
                self.take = decode(self.take, [avatar], self._bundle or shared_bundle(self._device))
