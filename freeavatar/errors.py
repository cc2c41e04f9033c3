"""Errors a user can act on. Each message says what was wrong, what was expected, what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Message:
    """A sentence for users whose values are filled in when it is shown, so that it can be shown in another language."""

    template: str
    """English, with the fields of ``str.format``: ``"{} is empty: export it again."``"""
    values: tuple[Any, ...] = ()
    """What stands in the fields, in order; without any, the template is the sentence."""

    def __str__(self) -> str:
        return self.template.format(*self.values) if self.values else self.template


def some_of(names: Sequence[str], most: int = 12) -> "Message | str":
    """The first of many names, and how many more there are."""
    shown = ", ".join(names[:most])
    return Message("{} and {} more", (shown, len(names) - most)) if len(names) > most else shown


class FreeAvatarError(Exception):
    """Base of every error this package raises on bad input.

    Args:
        template: what was wrong, what was expected and what to do, with the fields of ``str.format``.
        values: what stands in the fields; without any, the template is the sentence.
    """

    def __init__(self, template: str, *values: Any) -> None:
        super().__init__(template, *values)

    @property
    def message(self) -> Message:
        """The sentence, not yet filled in."""
        return Message(self.args[0], self.args[1:])

    def __str__(self) -> str:
        return str(self.message)


class InputError(FreeAvatarError):
    """An argument or an input path that cannot be used."""


class VideoError(FreeAvatarError):
    """A video that cannot be read or written."""


class FaceError(FreeAvatarError):
    """An input in which no usable face was found."""


class AvatarError(FreeAvatarError):
    """An avatar file that cannot be driven."""


class WeightsError(FreeAvatarError):
    """Weights that are missing, of another version or of another rig."""
