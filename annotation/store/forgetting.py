"""Forgetting an image: the one deletion there is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotation.store.ids import now
from annotation.store.images import content_hash
from annotation.store.store import Store
from freeavatar.errors import InputError
from freeavatar.paths import bundles_folder, runs_folder

_CROPS = "select id, crop from images where id in ({})"
_CACHES = ("images_*.npy", "features_*.npz")
"""What training keeps of the images beside its runs, to start faster: it makes them anew."""


@dataclass(frozen=True)
class Forgotten:
    """What went with an image."""

    images: int
    questions: int
    answers: int
    files: list[str]
    """Snapshots, crops, and runs' caches deleted from disk."""
    left: list[str]
    """Files where such snapshots were written that hold something else now, or are another machine's; caches that
    another program holds."""
    models: list[str]
    """Configurations of runs and weights that were trained on such a snapshot: these still know the image."""


def forget_image(store: Store, name: str, *, models: Sequence[Path] = ()) -> Forgotten:
    """Delete an image for good: crop, embedding, questions with it, their answers, snapshots it is in.

    Neither a merge nor an import brings it back. Copies made by ``backup``, and the original file the crop was cut
    from, stay where they are.

    Args:
        store: the labels.
        name: id of the image, or its source.
        models: folders searched for runs trained on the snapshots; default ``runs`` and ``bundles`` of
            ``$FREEAVATAR_HOME``.

    Raises:
        InputError: no such image.
    """
    ids = [row["id"] for row in store.rows("select id from images where id = ? or source = ?", (name, name))]
    if not ids:
        raise InputError("there is no image {!r} in {}: give its id or its source.", name, store.path)
    of_images = f"where image_id in ({', '.join('?' * len(ids))})"
    snapshots = store.rows(
        f"select * from snapshots where id in (select snapshot_id from snapshot_images {of_images})", ids
    )
    folders = [folder for folder in models or [runs_folder(), bundles_folder()] if folder.is_dir()]
    trained = [config for folder in folders for config in _trained_on(snapshots, folder)]
    store.db.execute("pragma secure_delete=on")
    with store.write() as db:
        questions = [
            row["question_id"]
            for row in store.rows(f"select distinct question_id from question_images {of_images}", ids)
        ]
        answers = _delete_questions(store, questions)
        for snapshot in snapshots:
            db.execute("delete from snapshot_images where snapshot_id = ?", (snapshot["id"],))
            db.execute("delete from snapshots where id = ?", (snapshot["id"],))
        own = {row["sha256"] for row in store.rows("select sha256 from snapshots where is_own = 1")}
        crops = {row["id"]: row["crop"] for row in store.rows(_CROPS.format(", ".join("?" * len(ids))), ids)}
        _bury(store, crops)
        db.execute(f"delete from embeddings {of_images}", ids)
        db.execute(f"delete from images {of_images.replace('image_id', 'id')}", ids)
        store.set("forgotten", store.get("forgotten", 0) + 1)
        # Before the rows are gone for good: a crash here leaves them, and the next try finds the files.
        files, left = _delete_files(snapshots, own, crops)
        cached, held = _delete_caches(trained, folders)
    store.db.execute("pragma wal_checkpoint(truncate)").fetchall()
    known_to = [str(config) for config in trained]
    return Forgotten(len(ids), len(questions), answers, files + cached, left + held, known_to)


def _delete_questions(store: Store, questions: Sequence[str]) -> int:
    """Delete questions with all that hangs on them; how many answers there were."""
    answers = 0
    with store.write() as db:
        for question in questions:
            answers += db.execute(
                "delete from answers where question_id = ? and undoes is not null", (question,)
            ).rowcount
            answers += db.execute("delete from answers where question_id = ?", (question,)).rowcount
            for table in ("leases", "gold", "question_images"):
                db.execute(f"delete from {table} where question_id = ?", (question,))
            db.execute("delete from questions where id = ?", (question,))
    return answers


def _bury(store: Store, crops: Mapping[str, bytes | None]) -> None:
    """Note by hash what must not come back by a merge or an import."""
    with store.write() as db:
        rows = [(image, content_hash(crop), now()) for image, crop in crops.items()]
        db.conn.executemany("insert or replace into tombstones values (?, ?, ?)", rows)


def _delete_files(
    snapshots: Sequence[Mapping], own: Collection[str], crops: Mapping[str, bytes | None]
) -> tuple[list[str], list[str]]:
    """Delete snapshots, and the images' crops beside them, where they are what this store wrote.

    A path alone proves nothing: the row may come from another machine, the file may be somebody else's by now.
    ``own`` holds the hashes of every snapshot this store wrote.
    """
    doomed = {snapshot["sha256"] for snapshot in snapshots if snapshot["is_own"]}
    gone, left = [], []
    for snapshot in snapshots:
        files = {Path(snapshot["path"]): doomed}
        if snapshot["images_path"]:
            hashes = {image: content_hash(crop) for image, crop in crops.items()}
            files |= {Path(snapshot["images_path"]) / f"{image}.jpg": {digest} for image, digest in hashes.items()}
        for path in filter(Path.is_file, files):
            digest = content_hash(path.read_bytes())
            if snapshot["is_own"] and digest in files[path] and _unlink(path):
                gone.append(str(path))
            elif digest not in own:
                left.append(str(path))
    return gone, left


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _trained_on(snapshots: Sequence[dict], folder: Path) -> list[Path]:
    """Every config.json and lineage.json below a folder that names one of the snapshots."""
    names = [snapshot["path"] for snapshot in snapshots] + [snapshot["sha256"] for snapshot in snapshots]
    configs = (path for path in sorted(folder.rglob("*.json")) if path.name in ("config.json", "lineage.json"))
    return [path for path in configs if any(name in path.read_text(errors="replace") for name in names)]


def _delete_caches(configs: Sequence[Path], folders: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Delete the caches of the runs that these configurations belong to; those that could not be."""
    runs = {
        folder / path.relative_to(folder).parts[0] for folder in folders for path in configs if folder in path.parents
    }
    found = sorted({path for run in runs if run.is_dir() for cache in _CACHES for path in run.rglob(cache)})
    gone = [path for path in found if _unlink(path)]
    return [str(path) for path in gone], [str(path) for path in found if path not in gone]
