"""Unique ids that sort by time, so that stores from several machines merge."""

import os
import threading
import time
from datetime import UTC, datetime

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A UUID of version 7 (RFC 9562) as 32 hex digits; ids of one process strictly increase."""
    global _last
    with _lock:
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        _last = max(milliseconds << 12 | rest * 4096 // 1_000_000, _last + 1)
        milliseconds, fraction = _last >> 12, _last & 0xFFF
    high = milliseconds << 16 | 0x7000 | fraction
    low = 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    return f"{high << 64 | low:032x}"


def now() -> str:
    """The time in UTC, to the millisecond, as text that sorts."""
    return timestamp(time.time())


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as ``2026-01-31T12:00:00.000Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
