"""Writing: frames at exact times to an H.264 MP4, a VP9 WebM or a ProRes MOV, with the audio of another file.

WebM and MOV take frames with alpha, which is straight: colours are not multiplied by it.
"""

import logging
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from uuid import uuid4

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

from freeavatar.errors import InputError, VideoError
from freeavatar.video.audio import AudioTrack
from freeavatar.video.media import tidy_rate

_log = logging.getLogger(__name__)

# A multiple of 90000, 1000, 600, 48000, 30000 (29.97 fps), 24000 (23.976 fps), 15360 and 12800, the
# clocks of common files: times read from them are kept exactly.
_TICKS = 5_760_000
_QUALITY = {"crf": "17", "preset": "superfast", "g": "15", "x264-params": "mbtree=1:rc-lookahead=10"}
"""Keyframes so close that any moment is found at once. The look ahead, which the preset leaves out, takes nothing and a
fifth off the file: backgrounds stand still."""
_LONGEST_AUDIO_TAIL = 1


class _Format(NamedTuple):
    """What a kind of file holds."""

    container: str
    codec: str
    options: dict[str, str]
    """Of the codec."""
    pixels: str
    """FFmpeg's name of the pixel format."""
    alpha_pixels: str | None
    """The same with alpha, where there is one."""


_FORMATS = {
    ".mp4": _Format("mp4", "libx264", _QUALITY, "yuv420p", None),
    # Frames that stand in for later ones have no place for alpha.
    ".webm": _Format(
        "webm", "libvpx-vp9",
        {"crf": "18", "b": "0", "deadline": "good", "cpu-used": "6", "row-mt": "1", "g": "60", "auto-alt-ref": "0"},
        "yuv420p", "yuva420p",
    ),
    ".mov": _Format(
        "mov", "prores_ks", {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"}, "yuv444p10le", "yuva444p10le"
    ),
}  # fmt: skip
"""By ending; other endings are written as MP4."""


class VideoWriter:
    """Context manager that writes a video in constant memory.

    The ending says which: ``.mp4`` (H.264, yuv420p), ``.webm`` (VP9, yuv420p) or ``.mov`` (ProRes 4444, 10 bits). Times
    are exact, but a WebM's are whole milliseconds.

    The file appears under its name only on a clean exit; on an error the temporary file is removed
    and an older file of that name stays. Odd sizes are padded by one pixel, as the codec needs.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size: tuple[int, int],
        rate: Fraction,
        has_alpha: bool = False,
        audio_from: str | Path | None = None,
        audio_start: Fraction = Fraction(0),
        audio_tail: float = _LONGEST_AUDIO_TAIL,
    ) -> None:
        """Describe the video to be written.

        Args:
            path: Target file; its folder exists.
            size: (H, W) of the frames, at least 1 x 1.
            rate: Nominal frames a second, above 0.
            has_alpha: Whether frames have a fourth channel, straight alpha; not for an MP4.
            audio_from: File whose audio is kept, in step with its own first video frame. Audio that cannot
                be read is left out with a warning.
            audio_start: Second of that file which becomes time 0.
            audio_tail: Seconds that the audio may last longer than the last frame.

        Raises:
            InputError: the size or the rate is not positive, or the file cannot have alpha.
        """
        if min(size) < 1 or rate <= 0:
            raise InputError(
                "Cannot write a video of size {} at {} frames a second; both must be positive.", size, rate
            )
        self.path = Path(path)
        self._format = _FORMATS.get(self.path.suffix.lower(), _FORMATS[".mp4"])
        pixels = self._format.alpha_pixels if has_alpha else self._format.pixels
        if pixels is None:
            raise InputError("{} cannot be transparent: write a .webm or a .mov.", self.path.name)
        self._pixels = pixels
        self._temporary = self.path.with_name(f"{self.path.name}.{uuid4().hex[:8]}.tmp")
        self._size, self._channels = size, 4 if has_alpha else 3
        self._rate = tidy_rate(Fraction(rate))
        self._audio_from = None if audio_from is None else Path(audio_from)
        self._audio_start, self._audio_tail = audio_start, audio_tail
        self._audio: AudioTrack | None = None
        self._converter = VideoReformatter()
        self._last = -1

    def __enter__(self) -> "VideoWriter":
        """Start the file.

        Raises:
            VideoError: the file cannot be created.
        """
        if not self.path.parent.is_dir():
            raise VideoError("There is no folder {} to write {} to; create it first.", self.path.parent, self.path.name)
        for source in dict.fromkeys((self._audio_from, None)):
            try:
                self._open(source)
                return self
            except (av.FFmpegError, VideoError) as error:
                self._discard()
                reason = error
            if source is not None:
                _log.warning("%s is written without audio: %s", self.path.name, reason)
        raise self._failure(reason) from reason

    def write(self, image: np.ndarray, time: float) -> None:
        """Write the next frame.

        Args:
            image: RGB, or RGBA with alpha, ``(H, W, 3 or 4)`` uint8 of the size given at the start.
            time: Presentation time, seconds, at least 0 and later than the frame before.

        Raises:
            InputError: the image or the time is not as described.
            VideoError: the file cannot be written to.
        """
        ticks = round(time * _TICKS)
        shape = (*self._size, self._channels)
        if image.shape != shape or image.dtype != np.uint8:
            raise InputError("A frame is {} {}; expected {} uint8, RGB.", image.shape, image.dtype, shape)
        if ticks <= self._last:
            raise InputError(
                "A frame at {} s follows one at {} s; times must increase from 0.", time, self._last / _TICKS
            )
        self._last = ticks
        try:
            self._container.mux(self._stream.encode(self._to_frame(image, ticks)))
        except av.FFmpegError as error:
            raise self._failure(error) from error
        if self._audio is not None:
            self._audio.write_until(time)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file and give it its name, or remove it if there was an error.

        Raises:
            VideoError: no frame was written, or the file cannot be finished.
        """
        try:
            if kind is None:
                self._finish()
        except (av.FFmpegError, OSError) as failure:
            raise self._failure(failure) from failure
        finally:
            self._discard()

    def _open(self, audio_from: Path | None) -> None:
        container, codec, options, *_ = self._format
        flags = {} if container == "webm" else {"movflags": "faststart"}
        self._container = av.open(os.path.abspath(self._temporary), "w", format=container, container_options=flags)
        height, width = (n + n % 2 for n in self._size)
        stream = self._container.add_stream(
            codec, self._rate, options, width=width, height=height, time_base=Fraction(1, _TICKS)
        )
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt, self._stream = self._pixels, stream
        if self._channels == 4:
            stream.metadata["alpha_mode"] = "1"
        context = self._stream.codec_context
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if audio_from is not None:
            self._audio = AudioTrack(audio_from, self._container, start=self._audio_start)
        self._container.start_encoding()

    def _to_frame(self, image: np.ndarray, ticks: int) -> av.VideoFrame:
        height, width = self._size
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(image, format="rgba" if self._channels == 4 else "rgb24")
        frame = self._converter.reformat(
            rgb,
            format=self._pixels,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
        frame.duration = round(_TICKS / self._rate)
        return frame

    def _finish(self) -> None:
        if self._last < 0:
            raise VideoError("No frame was written to {}; a video needs at least one.", self.path.name)
        self._container.mux(self._stream.encode(None))
        if self._audio is not None:
            end = self._last / _TICKS + 1 / self._rate
            self._audio.write_until(end + self._audio_tail)
        self._container.close()
        os.replace(self._temporary, self.path)

    def _discard(self) -> None:
        """Close what is open and remove the temporary file, if it still has that name."""
        if self._audio is not None:
            self._audio.close()
            self._audio = None
        with suppress(av.FFmpegError):
            self._container.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _failure(self, error: Exception) -> VideoError:
        return VideoError(
            "{} cannot be written ({}); check that its folder is writable and has space.", self.path.name, error
        )
