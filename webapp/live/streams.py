"""Streams of a session: which other programs get what its first avatar plays."""

import time
from collections.abc import Collection
from typing import Any

from freeavatar.errors import InputError
from freeavatar.pipeline.live import LiveMoment
from freeavatar.streams import STREAMS, Stream, address_of, open_stream

MOST_STREAMS = 8
"""Programs that one session sends to at once."""
PRESETS = {scheme: f"{scheme}://127.0.0.1:{kind.PORT}" for scheme, kind in STREAMS.items()}
"""By scheme, the URL of a program on this machine."""


class SessionStreams:
    """The open streams; not for several threads at once."""

    def __init__(self) -> None:
        self._streams: dict[str, Stream] = {}
        self._opened = time.monotonic()

    def __bool__(self) -> bool:
        """Whether anything is sent."""
        return bool(self._streams)

    def change(self, urls: Any, hosts: Collection[str]) -> None:
        """Send to these programs from now on; streams that go on stay open. Nothing changes if one cannot be used.

        Args:
            urls: of streams, in any order.
            hosts: where streams may go, in lower case.

        Raises:
            InputError: there are too many, or one cannot be used or may not be sent to.
        """
        wanted = dict.fromkeys(map(str, urls if isinstance(urls, list) else []))
        if len(wanted) > MOST_STREAMS:
            raise InputError("{} programs at most get a session's face: switch another one off.", MOST_STREAMS)
        for url in wanted:
            _check_host(address_of(url).host, hosts)
        new: dict[str, Stream] = {}
        try:
            for url in wanted.keys() - self._streams.keys():
                new[url] = open_stream(url)
        except BaseException:
            _close(new)
            raise
        _close({url: stream for url, stream in self._streams.items() if url not in wanted})
        self._streams = {url: stream for url, stream in self._streams.items() if url in wanted} | new

    def send(self, moment: LiveMoment) -> None:
        """Pass on what the first avatar plays."""
        played = next(iter(moment.played.values()))
        for stream in self._streams.values():
            stream.send(played.curves, played.head, moment.confidence, time.monotonic() - self._opened)

    def close(self) -> None:
        """Close them all; nothing is sent afterwards."""
        _close(self._streams)
        self._streams = {}


def _close(streams: dict[str, Stream]) -> None:
    for stream in streams.values():
        stream.close()


def _check_host(host: str, hosts: Collection[str]) -> None:
    if host.lower() not in hosts:
        raise InputError("the page may not send to {}: start the app with --send-host {}.", host, host)
