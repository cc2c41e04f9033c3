"""Pictures: H.264 videos, and a PNG of a single moment."""

from types import TracebackType
from typing import Any

from freeavatar.export.sink import Moment, Output, Recording
from freeavatar.files import write_png
from freeavatar.video import VideoWriter


class VideoSink:
    """Writes the pictures as an MP4, with the sound."""

    def __init__(self, output: Output) -> None:
        sound: dict[str, Any] = {}
        if output.sound is not None:
            sound = {
                "audio_from": output.sound.path, "audio_start": output.sound.start, "audio_tail": output.sound.tail
            }  # fmt: skip
        self._writer = VideoWriter(output.path, size=output.size, rate=output.rate, **sound)

    def __enter__(self) -> "VideoSink":
        self._writer.__enter__()
        return self

    def write(self, moment: Moment) -> None:
        """Write the next picture."""
        self._writer.write(moment.picture, moment.time)

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
