"""Media files: safe opening and reading of packets, shared by everything that reads one."""

import logging
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream

from freeavatar.errors import VideoError

_log = logging.getLogger(__name__)

# Formats that hold their own media. FFmpeg would also open text files (as subtitles on a
# terminal) and playlists, which make it read other files and addresses.
_FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,h264,hevc,m4v,obu,ivf,dv,mxf,nut,rm,wtv,"
    "yuv4mpegpipe,wav,mp3,flac,aac"
)


def open_media(path: Path) -> InputContainer:
    """Open a media file for reading.

    Raises:
        VideoError: ``path`` is no file, or FFmpeg finds no media in it.
    """
    if not path.is_file():
        raise VideoError("There is no file {}; check the path.", path)
    reason: av.FFmpegError | None = None
    # The second try reads a fragmented MP4 that was cut off: FFmpeg gives it up if it can look ahead.
    for seekable in ("-1", "0"):
        options = {"format_whitelist": _FORMATS, "seekable": seekable}
        try:
            return av.open(os.path.abspath(path), container_options=options, metadata_errors="replace")
        except av.FFmpegError as error:
            reason = reason or error
    assert reason is not None
    raise VideoError(
        "{} cannot be opened as a video ({}): it is of another type, incomplete or damaged; choose a video such as "
        "an MP4, MOV or WebM, or export it again.",
        path.name,
        reason.strerror,
    ) from reason


def seek_before(container: InputContainer, stream: Stream, time: Fraction) -> bool:
    """Go to a place from which everything at ``time`` and later decodes.

    Args:
        container: not read from so far.
        stream: the stream that will be read.
        time: on the file's own clock, seconds.

    Returns:
        Whether the container moved: only formats with an index of exact times are trusted.
    """
    if not stream.time_base or not {"mp4", "matroska"} & set(container.format.name.split(",")):
        return False
    try:
        container.seek(int(time / stream.time_base), stream=stream, backward=True)
    except (av.FFmpegError, OverflowError):
        return False
    return True


def tidy_rate(rate: Fraction) -> Fraction:
    """The nearest rate with terms small enough for any codec; 30000/1001 stays what it is."""
    return max(rate.limit_denominator(1001), Fraction(1, 1001))


def read_packets(container: InputContainer, stream: Stream) -> Iterator[av.Packet | None]:
    """Yield the complete packets of one stream, then None to drain the decoder.

    Stops with a logged warning where the file is damaged.
    """
    name, incomplete = Path(container.name).name, 0
    try:
        for packet in container.demux(stream):
            incomplete += packet.is_corrupt
            if packet.size and not packet.is_corrupt:
                yield packet
    except av.FFmpegError as error:
        _log.warning("The %s of %s ends early, the rest is damaged: %s.", stream.type, name, error.strerror)
    if incomplete:
        _log.warning("%s: %d incomplete pieces of %s were left out.", name, incomplete, stream.type)
    yield None
