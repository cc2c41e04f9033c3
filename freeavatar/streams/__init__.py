"""Streams: sinks that pass a face on to other programs, one a protocol."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from freeavatar.errors import InputError
from freeavatar.streams.ifacialmocap import IFacialMocapStream
from freeavatar.streams.live_link import LiveLinkStream
from freeavatar.streams.playing import Clock, Played, play
from freeavatar.streams.stream import Address, Stream
from freeavatar.streams.vmc import VmcStream
from freeavatar.streams.vrchat import VrchatStream
from freeavatar.streams.vts import VtsStream

STREAMS: dict[str, type[Stream]] = {
    "vmc": VmcStream, "livelink": LiveLinkStream, "ifacialmocap": IFacialMocapStream, "vts": VtsStream,
    "vrchat": VrchatStream,
}  # fmt: skip
"""What sends by a protocol, by the scheme of its URL."""


def open_stream(url: str) -> Stream:
    """Open a stream; nothing is sent yet, and nobody needs to listen.

    Args:
        url: scheme, host and, where it is not the protocol's own, port, such as ``vmc://127.0.0.1:39539``; options in
            the query, such as ``?names=vrm1``.

    Raises:
        InputError: the URL cannot be used.
    """
    return _kind(url)(address_of(url))


def address_of(url: str) -> Address:
    """Where a stream of that URL goes.

    Raises:
        InputError: the URL cannot be used.
    """
    kind, (scheme, _, rest) = _kind(url), url.partition("://")
    try:
        parts = urlsplit(f"//{rest}")
        port, host = parts.port, parts.hostname
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError as error:
        raise _unusable(url, scheme, kind.PORT) from error
    if not host or port == 0 or parts.path not in ("", "/") or parts.username or parts.fragment:
        raise _unusable(url, scheme, kind.PORT)
    return Address(url, host, port or kind.PORT, _options(given, url, kind.OPTIONS))


def _kind(url: str) -> type[Stream]:
    scheme = url.partition("://")[0].lower()
    if scheme not in STREAMS:
        raise InputError("cannot send to {!r}: expected {}://HOST:PORT.", url, "://, ".join(STREAMS))
    return STREAMS[scheme]


def _unusable(url: str, scheme: str, port: int) -> InputError:
    return InputError(
        "{} is no address: give a host and a port from 1 to 65535, as in {}://127.0.0.1:{}.", url, scheme, port
    )


def _options(given: Mapping[str, str], url: str, known: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The options with their defaults."""
    if given and not known:
        raise InputError("{} has options, which its scheme does not take: leave out what follows the ?.", url)
    for name, value in given.items():
        if name not in known:
            raise InputError(
                "{} has the option {}, expected {}: correct it or leave it out.", url, name, ", ".join(known)
            )
        if known[name] and value not in known[name]:
            raise InputError("{} has {}={}: use {}.", url, name, value, ", ".join(known[name]))
    return {name: values[0] for name, values in known.items() if values} | dict(given)


__all__ = ["STREAMS", "Address", "Clock", "Played", "Stream", "address_of", "open_stream", "play"]
