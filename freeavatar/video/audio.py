"""Audio of a source file, carried over to a new video in step with its frames."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Discard

from freeavatar.errors import VideoError
from freeavatar.video.media import open_media, read_packets, seek_before
from freeavatar.video.reader import VideoReader

_log = logging.getLogger(__name__)

_LOWEST_MP3_RATE = 16000  # MP4 takes no slower MP3
_RATE = 48000
_LONGEST_GAP = 60  # seconds; filled with silence in memory
_LEAD = 2  # seconds decoded before a cut, so that decoders have started up


class AudioTrack:
    """The first audio track of a file, written to a video a little at a time in constant memory.

    In an MP4 or MOV AAC and MP3 are copied, everything else becomes AAC; in a WebM all becomes Opus. Time 0 is the
    first video frame of the file, or ``start`` seconds later.
    Damaged audio is left out with a logged warning; a file without audio gives an empty track.
    """

    def __init__(self, path: Path, output: OutputContainer, *, start: Fraction = Fraction(0)) -> None:
        """Add an audio stream to ``output``.

        Args:
            path: File with audio; if it has no video, time 0 is that of its own clock.
            output: MP4, MOV or WebM whose header is not yet written.
            start: Second of the video that becomes time 0.

        Raises:
            VideoError: the file cannot be opened, or the codec of its audio is unknown.
        """
        self._name = path.name
        self._origin = _first_frame_time(path) + start
        self._input = open_media(path)
        self._output = output
        self._next: av.Packet | None = None
        self._packets: Iterator[av.Packet] = iter(())
        source = _audio_stream(self._input, self._name)
        if source is not None and start > _LEAD:
            seek_before(self._input, source, self._origin - _LEAD)
        is_webm = output.format.name == "webm"
        if source is not None and not is_webm and _fits_mp4(source):
            self._packets = self._copied(source, output.add_stream_from_template(source))
        elif source is not None:
            layout = "mono" if source.channels == 1 else "stereo"
            self._packets = self._encoded(
                source, output.add_stream("libopus" if is_webm else "aac", rate=_RATE, layout=layout)
            )

    def write_until(self, time: float) -> None:
        """Write the packets that end by ``time``, seconds from the first video frame."""
        try:
            while (packet := self._peek()) is not None and _end(packet) <= time:
                self._next = None
                self._output.mux(packet)
        except (av.FFmpegError, ValueError) as error:
            _log.warning("The audio of %s is damaged and ends early: %s.", self._name, error)
            self.close()

    def close(self) -> None:
        """Stop and release the source file."""
        self._packets, self._next = iter(()), None
        self._input.close()

    def _peek(self) -> av.Packet | None:
        if self._next is None:
            self._next = next(self._packets, None)
        return self._next

    def _copied(self, source: AudioStream, target: AudioStream) -> Iterator[av.Packet]:
        last = None
        for packet, _ in self._decoded(source):
            if packet is None:
                return
            start = packet.dts if packet.pts is None else packet.pts
            if start is None or (last is not None and start <= last):
                continue
            last = start
            packet.pts = packet.dts = start - round(self._origin / packet.time_base)
            packet.stream = target
            # The packet that ends at 0 stays: decoders need it to start up.
            if _end(packet) >= 0:
                yield packet

    def _encoded(self, source: AudioStream, target: AudioStream) -> Iterator[av.Packet]:
        # "async" fills gaps with silence and drops overlaps, "first_pts" starts the track at time 0.
        options = {"async": "1", "first_pts": "0"}
        assert source.time_base is not None
        resampler = av.AudioResampler("fltp", target.layout, _RATE, options=options)
        end = Fraction(0)
        for _, frames in self._decoded(source):
            for frame in frames:
                if frame.pts is not None:
                    start = frame.pts * source.time_base - self._origin
                    if start > end + _LONGEST_GAP:
                        raise ValueError(f"it pauses for {float(start - end):.0f} s")
                    end = start
                    if end + Fraction(frame.samples, frame.sample_rate) <= 0:
                        continue
                    frame.time_base = Fraction(1, frame.sample_rate)
                    frame.pts = round(start / frame.time_base)
                end += Fraction(frame.samples, frame.sample_rate)
                for resampled in resampler.resample(frame):
                    yield from target.encode(resampled)
        for resampled in resampler.resample(None):
            yield from target.encode(resampled)
        yield from target.encode(None)

    def _decoded(self, source: AudioStream) -> Iterator[tuple[av.Packet | None, list[av.AudioFrame]]]:
        """Yield the packets that decode; one that does not would stop some players."""
        damaged = 0
        try:
            for packet in read_packets(self._input, source):
                try:
                    frames = source.decode(packet)
                except av.FFmpegError:
                    damaged += 1
                else:
                    yield packet, frames
        finally:
            if damaged:
                _log.warning("%s: %d damaged pieces of audio were left out.", self._name, damaged)


def _first_frame_time(path: Path) -> Fraction:
    try:
        return VideoReader(path).start
    except VideoError:
        return Fraction(0)


def _audio_stream(container: InputContainer, name: str) -> AudioStream | None:
    if not container.streams.audio:
        return None
    source = container.streams.audio[0]
    if source.codec_context is None or not source.sample_rate:
        raise VideoError("The audio of {} is damaged or its codec is unknown; convert it to AAC.", name)
    for stream in container.streams:
        if stream is not source:
            stream.discard = Discard.all
    return source


def _fits_mp4(source: AudioStream) -> bool:
    codec = source.codec.canonical_name
    return codec == "aac" or (codec == "mp3" and source.sample_rate >= _LOWEST_MP3_RATE)


def _end(packet: av.Packet) -> Fraction:
    return ((packet.pts or 0) + (packet.duration or 0)) * packet.time_base
