"""A/B questions: an actor's clip or frame, and what two methods made of it."""

import csv
import hashlib
import mimetypes
from pathlib import Path

from annotation.store.ids import new_id, now
from annotation.store.settings import read_settings
from annotation.store.store import Store
from freeavatar.errors import InputError

COLUMNS = ("actor", "method_0", "clip_0", "method_1", "clip_1")
MAX_CLIP_BYTES = 4 * 2**20
"""Longer clips would keep a phone waiting."""
_MIMES = ("video/mp4", "video/webm", "image/png", "image/jpeg", "image/webp")


def import_comparisons(store: Store, path: Path) -> int:
    """Add A/B questions from a CSV of clips, all or none; paths are relative to the CSV.

    Returns:
        How many questions there are now from it.

    Raises:
        InputError: columns or files are missing, or a clip is too large or of another kind.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError("{} has no column {}: expected {}.", path, ", ".join(missing), ",".join(COLUMNS))
            rows = []
            for row in reader:
                if any(row[name] is None for name in COLUMNS):
                    raise InputError("{}, line {} is too short: complete it.", path, reader.line_num)
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("cannot read {} ({}): give a CSV that exists.", path, error) from error
    wanted = read_settings(store).redundancy
    with store.write() as db:
        for row in rows:
            clips = [_add_clip(store, path.parent / row[name]) for name in ("actor", "clip_0", "clip_1")]
            question = (new_id(), "ab", "informative", "import", None, None, None, wanted, 1, now())
            db.execute(f"insert into questions values ({', '.join('?' * len(question))})", question)
            link = (question[0], *clips, row["method_0"], row["method_1"])
            db.execute("insert into comparisons values (?, ?, ?, ?, ?, ?)", link)
    return len(rows)


def _add_clip(store: Store, path: Path) -> str:
    mime = mimetypes.guess_type(path.name)[0]
    if mime not in _MIMES:
        raise InputError("{} is no MP4, WebM, PNG, JPEG or WebP: browsers would not show it.", path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError("cannot read {} ({}): paths are relative to the CSV.", path, error.strerror) from error
    if len(data) > MAX_CLIP_BYTES:
        raise InputError("{} is larger than {} MB: shorten it or make it smaller.", path, MAX_CLIP_BYTES // 2**20)
    clip = hashlib.sha256(data).hexdigest()[:32]
    with store.write() as db:
        db.execute("insert or ignore into clips values (?, ?, ?, ?, ?)", (clip, mime, str(path), data, now()))
    return clip
