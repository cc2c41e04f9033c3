"""How the controls of a rig follow ARKit's blendshapes: by their names, or as the file declares."""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from freeavatar.avatars.presets import OLD_NAMES, PRESETS, STANDS_FOR, Row
from freeavatar.errors import Message
from freeavatar.rig import ARKIT

Drivers = Mapping[str, Row]
"""Per control, the ARKit blendshapes it follows and how strongly."""

EXPECTED = Message("ARKit's names (jawOpen, mouthSmileLeft, ...) or VRM's (aa, happy, blinkLeft, ...)")
"""What names are understood, in words."""

_EXACT, _PARTIAL, _GUESSED = range(3)
"""How sure a match is: a blendshape's own name; one side or both sides of it; a name behind words not known."""
_PARTS = frozenset({
    "arkit", "avatar", "beard", "blendshape", "blendshapes", "body", "brow", "brows", "bs", "character", "ctrl", "eye",
    "eyelash", "eyelashes", "eyes", "face", "geo", "gums", "hair", "head", "jaw", "key", "lash", "lashes", "mesh",
    "morph", "morphs", "mouth", "shape", "shapes", "skin", "target", "targets", "teeth", "tongue",
})  # fmt: skip
"""Words before a name that say where the target is, not what it does."""
_MENDING = re.compile(r"fix|corr|comb|mix|driver")
_VOWELS = frozenset("aiueo")


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _spellings() -> dict[str, tuple[int, Row]]:
    """Sureness and meaning of every way to write a blendshape, in lower-case letters."""
    found: dict[str, tuple[int, Row]] = {name.lower(): (_EXACT, {name: 1.0}) for name in ARKIT}
    for name in ARKIT:
        side = next((side for side in ("Left", "Right") if name.endswith(side)), None)
        if side is None:
            for end in ("left", "right", "l", "r"):
                found.setdefault(name.lower() + end, (_PARTIAL, {name: 1.0}))
            continue
        stem, side = name.lower().removesuffix(side.lower()), side.lower()
        for text in (stem + side[0], side + stem, side[0] + stem):
            found.setdefault(text, (_EXACT, {name: 1.0}))
        # jaw and mouth alone say nothing: their left and right are opposites, not halves.
        if stem not in ("jaw", "mouth"):
            stem_name = name[: len(stem)]
            found.setdefault(stem, (_PARTIAL, {f"{stem_name}Left": 0.5, f"{stem_name}Right": 0.5}))
    return found


_SPELLINGS = _spellings()
_PRESET_NAMES = {**OLD_NAMES, **{_key(name): name for name in PRESETS}, "blinkl": "blinkLeft", "blinkr": "blinkRight"}


def _readings(name: str) -> Iterator[tuple[str, int]]:
    """Keys a target's name may stand for, without what exporters put before it, and how sure each is."""
    yield _key(name), _EXACT
    parts = re.split(r"[.:|/]", name)
    for start in range(1, len(parts)):
        yield _key("".join(parts[start:])), _EXACT
    words = re.split(r"[.:|/_\s-]+", name)
    for start in range(1, len(words)):
        before = [_key(word).rstrip("0123456789") for word in words[:start]]
        together = "".join(before)
        if all(word in _PARTS for word in before if word):
            yield _key("".join(words[start:])), _EXACT
        elif not _MENDING.search(together) and not any(text in together for text in _SPELLINGS if len(text) > 5):
            yield _key("".join(words[start:])), _GUESSED


def _arkit_row(name: str) -> tuple[int, Row] | None:
    for key, sureness in _readings(name):
        if key in _SPELLINGS:
            kind, row = _SPELLINGS[key]
            return max(kind, sureness), row
    return None


def _preset_of(name: str) -> str | None:
    for key, sureness in _readings(name):
        if sureness == _EXACT and key in _PRESET_NAMES and (len(key) > 1 or key == name.lower()):
            return _PRESET_NAMES[key]
    return None


def drive_rows(names: Sequence[str], declared: Drivers) -> dict[str, Row]:
    """What each control follows; controls that nothing drives are missing.

    A control follows what the file declares. Others go by their names: ARKit's, in any case, with the side as
    ``Left``, ``_L``, ``.L`` or ``-l``, and after a prefix (``Face.jawOpen``, ``head_blendShape.jawOpen``); or
    VRM's presets, old names included, where no control of ARKit's shows the same. Of several names for one
    blendshape only the surest follow it: ``fix_jawOpen`` rests beside ``jawOpen``.

    Args:
        names: the controls.
        declared: what the file says of its controls (``mesh.extras.drivers``).
    """
    rows = {name: _known(declared[name]) for name in names if name in declared}
    matched = {name: found for name in names if name not in declared and (found := _arkit_row(name))}
    best: dict[str, int] = {}
    for sureness, row in matched.values():
        for source in row:
            best[source] = min(best.get(source, sureness), sureness)
    rows |= {name: row for name, (rank, row) in matched.items() if all(best[source] == rank for source in row)}
    rows |= _preset_rows([name for name in names if name not in declared and name not in matched], rows)
    return {name: row for name, row in rows.items() if any(row.values())}


def _known(row: Row) -> Row:
    return {source: float(weight) for source, weight in row.items() if source in ARKIT}


def _preset_rows(names: Sequence[str], rows: Mapping[str, Row]) -> dict[str, Row]:
    if not {name.lower() for name in names} >= _VOWELS:
        names = [name for name in names if len(name) > 1]
    presets = {name: preset for name in names if (preset := _preset_of(name))}
    shown = {source for row in rows.values() for source in row} | set(presets.values())
    return {name: PRESETS[preset] for name, preset in presets.items() if not shown & set(STANDS_FOR[preset])}


def drive_matrix(names: Sequence[str], declared: Drivers) -> np.ndarray:
    """:func:`drive_rows` as weights of ARKit's blendshapes, ``(K, 52)`` float32; zeros where nothing drives."""
    matrix = np.zeros((len(names), len(ARKIT)), np.float32)
    rows = drive_rows(names, declared)
    for index, name in enumerate(names):
        for source, weight in rows.get(name, {}).items():
            matrix[index, ARKIT.index(source)] = weight
    return matrix
