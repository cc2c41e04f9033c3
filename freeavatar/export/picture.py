"""Pictures: videos, numbered PNGs, and a PNG of a single moment."""

import re
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from freeavatar.export.background import extend_colors
from freeavatar.export.sink import Moment, Output, Recording
from freeavatar.files import make_folder, write_png
from freeavatar.video import VideoWriter


class VideoSink:
    """Writes the pictures as a video of the path's ending (:class:`freeavatar.video.VideoWriter`), with the sound."""

    def __init__(self, output: Output) -> None:
        sound: dict[str, Any] = {}
        if output.sound is not None:
            sound = {
                "audio_from": output.sound.path, "audio_start": output.sound.start, "audio_tail": output.sound.tail
            }  # fmt: skip
        self._writer = VideoWriter(output.path, size=output.size, rate=output.rate, has_alpha=output.has_alpha, **sound)

    def __enter__(self) -> "VideoSink":
        self._writer.__enter__()
        return self

    def write(self, moment: Moment) -> None:
        """Write the next picture."""
        picture = moment.picture
        self._writer.write(extend_colors(picture) if picture.shape[2] == 4 else picture, moment.time)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)


class ImageSink(Recording):
    """Writes the last picture as a PNG."""

    def write(self, moment: Moment) -> None:
        """Keep the picture."""
        self._picture = moment.picture

    def save(self) -> None:
        """Write it."""
        write_png(self._picture, self.output.path)


class FramesSink:
    """Writes every picture as a PNG, ``000001.png`` and so on, to a folder; other files in it stay."""

    def __init__(self, output: Output) -> None:
        self._folder, self._count = output.path, 0

    def __enter__(self) -> "FramesSink":
        self._stack = ExitStack()
        place = TemporaryDirectory(prefix=f".{self._folder.name}.", dir=self._folder.parent)
        self._temporary = Path(self._stack.enter_context(place))
        return self

    def write(self, moment: Moment) -> None:
        """Write the next picture."""
        self._count += 1
        write_png(moment.picture, self._temporary / f"{self._count:06}.png")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is not None:
                return
            for path in make_folder(self._folder).iterdir():
                if re.fullmatch(r"\d{6}\.png", path.name):
                    path.unlink()
            for path in sorted(self._temporary.iterdir()):
                path.rename(self._folder / path.name)
