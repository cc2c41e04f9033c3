"""How much of an avatar a picture shows."""

from typing import Literal

Framing = Literal["face", "bust"]
"""The face with some of its hair, or head, hair and neck."""
FRAMINGS: tuple[Framing, ...] = ("face", "bust")
