"""What a study's owner decides."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from annotation.store.store import Store
from freeavatar.errors import InputError

FORMS = ("odd", "grid", "ab")
"""Odd one out of three; faces of a grid like a target; which of two clips matches an actor."""
GRID = 12
"""Faces beside the target of a grid."""


@dataclass(frozen=True)
class LabelSettings:
    """Kept in the database, so that every server on it asks alike."""

    quota: int = 60
    """Answers after which an annotator gets the completion code."""
    redundancy: int = 3
    """Raters a question gets at least."""
    most_raters: int = 6
    """... and at most, as long as fewer than two thirds agree."""
    grid_share: float = 0.15
    """Of questions that are grids; most others are odd-one-out."""
    ab_share: float = 0.5
    """Of questions that are A/B, as long as there are open ones."""
    random_share: float = 0.2
    """Of questions drawn at random: the test set."""
    check_share: float = 0.1
    """Of questions that are repeats or gold."""
    lease_seconds: float = 900.0
    """How long a question is kept for whom it was shown to."""
    is_builtin_asked: bool | None = None
    """Ask about the built-in renders; None: only while the pool has nothing else."""

    def __post_init__(self) -> None:
        if self.quota < 1 or not 1 <= self.redundancy <= self.most_raters:
            raise InputError("expected a quota of at least 1, and 1 <= redundancy <= most_raters.")
        shares = (self.grid_share, self.ab_share, self.random_share, self.check_share)
        if not all(0 <= share <= 1 for share in shares) or self.random_share + self.check_share > 1:
            raise InputError("shares lie between 0 and 1, random and check together as well.")
        if self.lease_seconds < 1:
            raise InputError("a lease lasts at least a second.")


def read_settings(store: Store) -> LabelSettings:
    """The settings of a database."""
    return LabelSettings(**store.get("label", {}))


def change_settings(store: Store, **changes: Any) -> LabelSettings:
    """Change some settings.

    Raises:
        InputError: a value out of range.
    """
    settings = replace(read_settings(store), **changes)
    store.set("label", asdict(settings))
    return settings


def parse_change(text: str) -> tuple[str, Any]:
    """``quota=40`` as name and value.

    Raises:
        InputError: no such setting, or no number.
    """
    name, _, value = text.partition("=")
    kinds: dict[str, Callable[[str], Any]] = {
        "quota": int,
        "redundancy": int,
        "most_raters": int,
        "is_builtin_asked": _optional_bool,
    }
    known = LabelSettings.__dataclass_fields__
    try:
        if name in known:
            return name, kinds.get(name, float)(value)
    except (ValueError, KeyError):
        raise InputError("{!r} holds no value {} can take.", text, name) from None
    raise InputError("there is no setting {!r}: use {}.", name, ", ".join(known))


def _optional_bool(text: str) -> bool | None:
    return {"true": True, "false": False, "auto": None}[text.lower()]
