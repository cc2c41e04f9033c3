"""Open Sound Control 1.0 over UDP: messages, in bundles that fit a packet."""

from collections.abc import Iterable, Iterator

from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

PACKET = 1432
"""Most bytes of a datagram: what Ethernet's 1500 leave beside the headers of IPv6 and UDP, and 20 to spare."""
_BUNDLE_HEADER, _SIZE = 16, 4


def osc_message(address: str, *values: str | float | int | bool) -> OscMessage:
    """A message: text, 32-bit floats, 32-bit ints and truth values."""
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build()


def osc_bundles(messages: Iterable[OscMessage]) -> list[bytes]:
    """Bundles to be carried out at once, in the order of the messages, none longer than :data:`PACKET`."""
    return [_bundle(group) for group in _groups(messages)]


def _groups(messages: Iterable[OscMessage]) -> Iterator[list[OscMessage]]:
    group: list[OscMessage] = []
    size = _BUNDLE_HEADER
    for message in messages:
        if group and size + _SIZE + message.size > PACKET:
            yield group
            group, size = [], _BUNDLE_HEADER
        group.append(message)
        size += _SIZE + message.size
    yield group


def _bundle(messages: Iterable[OscMessage]) -> bytes:
    builder = OscBundleBuilder(IMMEDIATELY)
    for message in messages:
        builder.add_content(message)
    return builder.build().dgram
