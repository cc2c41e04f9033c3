"""What annotators agree to before their first answer."""

import hashlib
from pathlib import Path

from annotation.store.ids import new_id, now
from annotation.store.store import Store
from freeavatar.errors import InputError

DEFAULT = """\
You will see pictures of faces and say which expressions look alike. It takes a few minutes.
Your answers, how long each took, the time, the kind of browser, and the id in your link are stored and used for \
research on facial expressions. Your name, address and picture are not.
Taking part is voluntary. You may stop at any time by closing the page, and you may ask the person who sent you the \
link to leave your answers out.
The pictures show people. Please do not copy or share them.\
"""
"""One paragraph a line."""


_LONGEST = 20_000
"""Characters of a text."""


def consent_text(store: Store) -> str:
    """The text of this study: the owner's, or the default."""
    return store.get("consent", DEFAULT)


def change_consent(store: Store, path: Path) -> str:
    """Show the text of a file from now on; who agreed to another one is asked again. The new text's id.

    Raises:
        InputError: the file cannot be read, or is empty or too long.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): give a text file in UTF-8.") from error
    paragraphs = [line.strip() for line in text.splitlines() if line.strip()]
    if not paragraphs or len(text) > _LONGEST:
        raise InputError(f"{path} holds {len(text)} characters: expected some text, at most {_LONGEST} characters.")
    store.set("consent", "\n".join(paragraphs))
    return consent_id(consent_text(store))


def consent_id(text: str) -> str:
    """Sixteen hex digits of the text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def has_agreed(store: Store, annotator: str) -> bool:
    """Whether an annotator agreed to the text as it is today."""
    agreed = store.value("select consent_id from annotators where id = ?", (annotator,))
    return agreed == consent_id(consent_text(store))


def record_consent(store: Store, annotator: str, seen: str, *, client: str) -> bool:
    """Note that an annotator agreed.

    Args:
        store: the labels.
        annotator: who.
        seen: id of the text that was shown.
        client: browser.

    Returns:
        Whether that is today's text; if it is not, nothing is noted.
    """
    with store.write() as db:
        text = consent_text(store)
        key = consent_id(text)
        if seen != key:
            return False
        db.execute("insert or ignore into consents values (?, ?, ?)", (key, text, now()))
        db.execute(
            "insert into annotators values (?, ?, ?, ?, ?, ?) "
            "on conflict(id) do update set consent_id = excluded.consent_id, consented = excluded.consented",
            (annotator, annotator.split(":")[0], key, now(), client[:200], now()),
        )
        db.execute("insert into agreements values (?, ?, ?, ?)", (new_id(), annotator, key, now()))
    return True
