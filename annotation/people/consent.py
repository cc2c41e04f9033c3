"""What annotators agree to before their first answer."""

import hashlib
import json
from pathlib import Path

from annotation.store.ids import new_id, now
from annotation.store.store import Store
from freeavatar.errors import InputError

DEFAULTS: dict[str, str] = json.loads((Path(__file__).parent / "consent.json").read_text(encoding="utf-8"))
"""The text of a study whose owner wrote none, by language; one paragraph a line."""

_LONGEST = 20_000
"""Characters of a text."""


def consent_text(store: Store, language: str = "en") -> str:
    """The text of this study: the owner's, or the default in a language, English where there is none."""
    return store.get("consent") or DEFAULTS.get(language, DEFAULTS["en"])


def _texts(store: Store) -> dict[str, str]:
    """By id, the texts of today: an annotator agrees to any one of them."""
    own = store.get("consent")
    return {consent_id(text): text for text in ([own] if own else DEFAULTS.values())}


def change_consent(store: Store, path: Path) -> str:
    """Show the text of a file from now on; who agreed to another one is asked again. The new text's id.

    Raises:
        InputError: the file cannot be read, or is empty or too long.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot read {} ({}): give a text file in UTF-8.", path, error) from error
    paragraphs = [line.strip() for line in text.splitlines() if line.strip()]
    if not paragraphs or len(text) > _LONGEST:
        raise InputError(
            "{} holds {} characters: expected some text, at most {} characters.", path, len(text), _LONGEST
        )
    store.set("consent", "\n".join(paragraphs))
    return consent_id(consent_text(store))


def consent_id(text: str) -> str:
    """Sixteen hex digits of the text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def has_agreed(store: Store, annotator: str) -> bool:
    """Whether an annotator agreed to the text as it is today."""
    return store.value("select consent_id from annotators where id = ?", (annotator,)) in _texts(store)


def record_consent(store: Store, annotator: str, seen: str, *, client: str) -> bool:
    """Note that an annotator agreed.

    Args:
        store: the labels.
        annotator: who.
        seen: id of the text that was shown.
        client: browser.

    Returns:
        Whether that is one of today's; if it is not, nothing is noted.
    """
    with store.write() as db:
        text = _texts(store).get(seen)
        if text is None:
            return False
        db.execute("insert or ignore into consents values (?, ?, ?)", (seen, text, now()))
        db.execute(
            "insert into annotators values (?, ?, ?, ?, ?, ?) "
            "on conflict(id) do update set consent_id = excluded.consent_id, consented = excluded.consented",
            (annotator, annotator.split(":")[0], seen, now(), client[:200], now()),
        )
        db.execute("insert into agreements values (?, ?, ?, ?)", (new_id(), annotator, seen, now()))
    return True
