"""The library of bundles: what ships, what training made, what was imported; and which of them is adopted.

A bundle of the library is a folder ``$FREEAVATAR_HOME/bundles/<id>``: config.json and the safetensors that belong
together, the graphs that run them, ``lineage.json`` (its id and title, the bundle it was made from, the labels by
hash, the settings, the graphs by hash), ``metrics.json`` and ``MODEL_CARD.md``. The id is a hash of the weights and
their config.json, so that a result which names it says exactly what made it, and parts of two bundles mixed up are
noticed.
"""

import json
import os
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from freeavatar.errors import InputError, WeightsError
from freeavatar.files import file_digest, make_folder, replacing
from freeavatar.models.bundle import (
    DEFAULT_WEIGHTS,
    Bundle,
    bundle_id,
    complete_bundle,
    lacking_graphs,
    load_bundle,
    missing_packages,
)
from freeavatar.models.graphs import GRAPHS, graph_path
from freeavatar.paths import bundles_folder

DEFAULT = "default"
"""Name of the bundle that ships."""
LINEAGE, METRICS, CARD = "lineage.json", "metrics.json", "MODEL_CARD.md"
_POINTER = "adopted.json"
_LARGEST = 8 * 2**30
"""A zip that unpacks to more bytes is no bundle."""


@dataclass(frozen=True)
class Entry:
    """A bundle of the library."""

    name: str
    """``default``, or the id."""
    folder: Path
    id: str
    """Twelve hex digits of its content; empty if it cannot be read."""
    title: str
    lineage: dict[str, Any]
    metrics: dict[str, Any]
    is_adopted: bool


def find_bundle(name: str | Path) -> Path:
    """The folder of a bundle: ``default``, an id or the start of one, or a folder.

    Raises:
        WeightsError: there is none, or several ids start like that.
    """
    text = str(name)
    if text == DEFAULT:
        return DEFAULT_WEIGHTS
    known = _folders()
    found = [folder for folder in known if len(text) >= 4 and folder.name.startswith(text)]
    if len(found) > 1:
        raise WeightsError("{} bundles start with {!r}: give more of the id.", len(found), text)
    if found:
        return found[0]
    if (Path(name) / "config.json").is_file():
        return Path(name)
    names = ", ".join([DEFAULT, *(folder.name for folder in known)])
    raise WeightsError("there is no bundle {!r}: give one of {}, or a bundle's folder.", text, names)


def adopted_bundle() -> Path:
    """The folder of the bundle in use: the one place that decides.

    Raises:
        WeightsError: what was adopted is gone.
    """
    name = _history()[-1]
    try:
        return find_bundle(name)
    except WeightsError as error:
        raise WeightsError("the adopted bundle {} is gone: take another by `models use {}`.", name, DEFAULT) from error


def whole_bundle(name: str | Path | None = None) -> Path:
    """The folder of a bundle, by default the adopted one, whose parts belong together.

    Raises:
        WeightsError: it is missing, or its parts come from different bundles.
    """
    folder = adopted_bundle() if name is None else find_bundle(name)
    noted = _read(folder / LINEAGE).get("id")
    if noted and noted != bundle_id(folder):
        raise WeightsError(
            "{} holds other weights than those of bundle {}: take all files from one bundle, or import it again.",
            folder,
            noted,
        )
    return folder


def open_bundle(name: str | Path | None = None, *, device: str = "cpu") -> Bundle:
    """Load a bundle, by default the adopted one; its id is for results to name.

    Raises:
        WeightsError: it is missing, damaged, of another rig, or its parts come from different bundles.
        InputError: there is no such device.
    """
    folder = whole_bundle(name)
    for path in _strange_graphs(folder):
        raise WeightsError(
            "{} is not the file that the library took in: take all files from one bundle, or write it by `freeavatar "
            "models convert {}` (in a clone `python -m freeavatar ...`).",
            path,
            shlex.quote(str(folder)),
        )
    return load_bundle(folder, device=device)


def convert_bundle(name: str | Path | None = None) -> list[Path]:
    """Write the graphs of a bundle, by default the adopted one, that are missing or not its own; the files written.

    Raises:
        WeightsError: it is missing or damaged, or torch is needed and not installed.
        InputError: a file cannot be written.
    """
    folder = whole_bundle(name)
    _drop_strange_graphs(folder)
    written = complete_bundle(folder)
    if written:
        _note_graphs(folder)
    return written


def list_bundles() -> list[Entry]:
    """What ships, then the others, oldest first."""
    adopted = _history()[-1]
    entries = [_entry(folder, adopted) for folder in [DEFAULT_WEIGHTS, *_folders()]]
    return entries[:1] + sorted(entries[1:], key=lambda entry: entry.lineage.get("created", ""))


def adopt_bundle(name: str) -> Entry:
    """Use a bundle from now on, if it loads.

    Raises:
        WeightsError: it does not load, or is not in the library.
    """
    folder = find_bundle(name)
    if folder != DEFAULT_WEIGHTS and folder.parent != bundles_folder():
        raise WeightsError("{} is not in the library: take it in by `models import {}` first.", name, name)
    open_bundle(folder).check()
    history = _history()
    entry = _entry(folder, "")
    if entry.name != history[-1]:
        _write_history([*history, entry.name])
    return replace(entry, is_adopted=True)


def roll_back() -> Entry:
    """Use the bundle that was adopted before.

    Raises:
        WeightsError: there is none, or it does not load.
    """
    history = _history()
    if len(history) < 2:
        raise WeightsError("nothing was adopted before: there is nothing to go back to.")
    folder = find_bundle(history[-2])
    open_bundle(folder).check()
    _write_history(history[:-1])
    return _entry(folder, history[-2])


def previous_bundle() -> str | None:
    """Name of what :func:`roll_back` would take; None if there is nothing."""
    return next(iter(_history()[-2:-1]), None)


def add_bundle(
    folder: Path, *, lineage: dict[str, Any], metrics: dict[str, Any] | None = None, card: str = ""
) -> Entry:
    """Copy a bundle into the library under the id of its content.

    Args:
        folder: config.json and the safetensors. Their graphs are written anew; those in the folder are taken only
            where torch is not installed.
        lineage: ``title``, ``created`` and where it came from; any JSON values.
        metrics: figures of it.
        card: the model card, Markdown.

    Raises:
        WeightsError: it does not load, or its parts come from different bundles.
        InputError: it cannot be written.
    """
    identity = bundle_id(whole_bundle(folder))
    home = make_folder(bundles_folder()) / identity
    if home.exists():
        _drop_strange_graphs(home)
        _give_graphs(home, folder)
    else:
        with _new_folder(home) as made:
            for path in folder.iterdir():
                if _is_weights(path.name):
                    shutil.copyfile(path, made / path.name)
            (made / LINEAGE).write_text(json.dumps({**lineage, "id": identity}, indent=1))
            _give_graphs(made, folder)
            (made / METRICS).write_text(json.dumps(metrics or {}, indent=1))
            (made / CARD).write_text(card or f"# {lineage.get('title', identity)}\n")
    return _entry(home, _history()[-1])


def export_bundle(name: str, out: Path) -> Path:
    """Write a bundle as a zip.

    Raises:
        WeightsError: it does not load.
        InputError: the zip cannot be written.
    """
    folder = find_bundle(name)
    open_bundle(folder).check()
    make_folder(out.parent)
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in folder.iterdir() if _is_part(path.name)):
            archive.write(path, path.name)
    return out


def import_bundle(path: Path) -> Entry:
    """Take a bundle, a zip of :func:`export_bundle` or a folder, into the library.

    Raises:
        InputError: the zip cannot be read.
        WeightsError: it does not load here.
    """
    if path.is_dir():
        return _add_with_papers(path, path.name)
    holder = make_folder(bundles_folder()) / f".import-{uuid4().hex[:8]}"
    try:
        _unpack(path, make_folder(holder))
        return _add_with_papers(holder, path.stem)
    except OSError as error:
        raise InputError("cannot unpack {} ({}): make room, or choose another folder.", path, error.strerror) from error
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _add_with_papers(folder: Path, title: str) -> Entry:
    card = folder / CARD
    lineage = {"title": title, **_read(folder / LINEAGE)}
    text = card.read_text(errors="replace") if card.is_file() else ""
    return add_bundle(folder, lineage=lineage, metrics=_read(folder / METRICS), card=text)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if _is_part(member.filename)]
            if "config.json" not in {member.filename for member in members}:
                raise WeightsError("{} holds no bundle: give a zip that `models export` wrote.", path)
            if sum(member.file_size for member in members) > _LARGEST:
                raise WeightsError("{} unpacks to more than {} GB: that is no bundle.", path, _LARGEST >> 30)
            for member in members:
                with archive.open(member) as source, (folder / member.filename).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError("{} is no whole zip ({}): export or download it again.", path, error) from error
    except FileNotFoundError as error:
        raise InputError("{} does not exist: give a zip that `models export` wrote, or a folder.", path) from error


def _is_part(name: str) -> bool:
    """Whether a file belongs to a bundle; its name has no folders, so nothing is written elsewhere."""
    return _is_weights(name) or name in (LINEAGE, METRICS, CARD, *(f"{graph}.onnx" for graph in GRAPHS))


def _is_weights(name: str) -> bool:
    is_tensors = name.endswith(".safetensors") and name.replace(".", "").replace("_", "").replace("-", "").isalnum()
    return is_tensors or name == "config.json"


def _give_graphs(home: Path, source: Path) -> None:
    """Write the graphs that a bundle lacks, or without torch take those it came with, and see that all open."""
    lacking = lacking_graphs(home)
    if missing_packages():
        for came, path in ((graph_path(source, name), graph_path(home, name)) for name in lacking):
            if came.is_file():
                with replacing(path) as temporary:
                    shutil.copyfile(came, temporary)
    complete_bundle(home)
    load_bundle(home).check()
    if lacking:
        _note_graphs(home)


def _note_graphs(folder: Path) -> None:
    """Keep the hashes of a bundle's graphs, where it has a lineage: its id does not cover them."""
    if not (folder / LINEAGE).is_file():
        return
    graphs = {path.name: file_digest(path) for path in sorted(folder.glob("*.onnx"))}
    with replacing(folder / LINEAGE) as temporary:
        temporary.write_text(json.dumps({**_read(folder / LINEAGE), "graphs": graphs}, indent=1))


def _strange_graphs(folder: Path) -> list[Path]:
    """Graphs of a bundle that are not those whose hashes were kept."""
    noted = _read(folder / LINEAGE).get("graphs")
    if not isinstance(noted, dict):
        return []
    found = [graph_path(folder, name) for name in GRAPHS]
    return [path for path in found if path.is_file() and file_digest(path) != noted.get(path.name)]


def _drop_strange_graphs(folder: Path) -> None:
    for path in _strange_graphs(folder):
        path.unlink()


@contextmanager
def _new_folder(home: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``home`` if the block succeeds."""
    made = home.with_name(f".{home.name}-{uuid4().hex[:8]}")
    try:
        made.mkdir()
        yield made
        if not home.exists():
            os.replace(made, home)
    except OSError as error:
        raise InputError("cannot write {} ({}): make room on that disk and try again.", home, error.strerror) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _folders() -> list[Path]:
    home = bundles_folder()
    found = home.iterdir() if home.is_dir() else ()
    return sorted(path for path in found if not path.name.startswith(".") and (path / "config.json").is_file())


def _entry(folder: Path, adopted: str) -> Entry:
    lineage, name = _read(folder / LINEAGE), DEFAULT if folder == DEFAULT_WEIGHTS else folder.name
    title = "The weights that ship" if name == DEFAULT else str(lineage.get("title", name))
    return Entry(name, folder, bundle_id(folder), title, lineage, _read(folder / METRICS), name == adopted)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text()) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise WeightsError("{} is damaged ({}): take the whole bundle again.", path, error) from error
    return found if isinstance(found, dict) else {}


def _history() -> list[str]:
    """Names of what was adopted, the last one in use."""
    path = bundles_folder() / _POINTER
    try:
        history = json.loads(path.read_text())["history"] if path.is_file() else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError("{} is damaged ({}): delete it to use the weights that ship.", path, error) from error
    return [DEFAULT, *map(str, history)]


def _write_history(history: list[str]) -> None:
    with replacing(make_folder(bundles_folder()) / _POINTER) as temporary:
        temporary.write_text(json.dumps({"history": history[1:]}))
