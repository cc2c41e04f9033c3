"""A camera of this machine: always the newest picture, and when it came."""

import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType

import cv2
import numpy as np

from freeavatar.errors import InputError

WIDTH = 640
"""Pixels to which wider pictures are scaled."""
_RATE = 30
_PATIENCE = 5.0
"""Seconds a picture may take to come."""
_BACKEND = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY


class Camera:
    """An open camera. A thread takes every picture from it, so that none waits in the driver and grows old."""

    def __init__(self, number: int) -> None:
        """Open it.

        Args:
            number: 0 is the first; on Linux that of ``/dev/video0``.

        Raises:
            InputError: there is no such camera, or it cannot be used.
        """
        self._number, self._changed = number, threading.Condition()
        self._newest: tuple[np.ndarray, float] | None = None
        self._is_open = True
        self._capture = _opened(number)
        self._thread = threading.Thread(target=self._take, name=f"camera {number}", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        """Pictures, RGB ``(H, W, 3)`` uint8, each with when it came, seconds of ``time.monotonic``; those that nobody
        asked for before the next one came are left out.

        Raises:
            InputError: none came for five seconds.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest or not self._is_open, _PATIENCE)
                shot, self._newest = self._newest, None
            if shot is None:
                raise InputError(
                    "camera {} sends no pictures any more: plug it in again, or end what else uses it.", self._number
                )
            image, taken = shot
            height, width = image.shape[:2]
            if width > WIDTH:
                image = cv2.resize(image, (WIDTH, round(height * WIDTH / width)), interpolation=cv2.INTER_AREA)
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB), taken

    def _take(self) -> None:
        while self._is_open:
            is_read, image = self._capture.read()
            with self._changed:
                if is_read:
                    self._newest = image, time.monotonic()
                else:
                    self._is_open = False
                self._changed.notify()

    def close(self) -> None:
        """Let go of it; calling it again does nothing."""
        self._is_open = False
        self._thread.join(_PATIENCE)
        self._capture.release()

    def __enter__(self) -> "Camera":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _opened(number: int) -> cv2.VideoCapture:
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what it says is in the error
    try:
        capture = cv2.VideoCapture(number, _BACKEND)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise InputError(
            "camera {} cannot be opened: plug it in, end what else uses it, and allow this program to use it (on Linux "
            "by the group video, on a Mac under Privacy & Security), or give another number or a video.",
            number,
        )
    for key, value in ((cv2.CAP_PROP_FRAME_WIDTH, WIDTH), (cv2.CAP_PROP_FRAME_HEIGHT, 480), (cv2.CAP_PROP_FPS, _RATE)):
        capture.set(key, value)
    return capture
