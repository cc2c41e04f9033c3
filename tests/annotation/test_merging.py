"""Merging: what comes in, what stays away, and what is not touched."""

import json
import sqlite3

import pytest
from sqlite_utils import Database

from annotation.people.simulate import Oracle, SimulateOptions, simulate
from annotation.results.exporting import export_labels
from annotation.store.forgetting import forget_image
from annotation.store.maintenance import backup_store, check_store
from annotation.store.merging import merge_store
from annotation.store.schema import MIGRATIONS
from annotation.store.store import Store
from freeavatar.errors import InputError
from tests.labels import WEIGHTS, make_desk, make_store


def study(path, answers=40):
    store = make_store(path, 12)
    simulate(store, make_desk(store), Oracle(store, WEIGHTS), SimulateOptions(3, answers, noise=0.0))
    return store


def counts(store):
    return {name: store.value(f"select count(*) from {name}") for name in ("images", "questions", "answers", "leases")}


def test_what_was_forgotten_does_not_come_back(tmp_path):
    one = study(tmp_path / "one.db")
    export_labels(one, tmp_path / "s.csv", kind="csv", min_agreement=0)
    backup_store(one, tmp_path / "two.db")
    image = one.value("select image_id from question_images limit 1")
    with Store(tmp_path / "two.db").write() as db:  # the same picture under another id
        db.execute("insert into images select ?, kind, source, box, licence, person, rig, crop, created "
                   "from images where id = ?", ("e" * 32, image))  # fmt: skip
    forget_image(one, image)
    before = counts(one)
    merged = merge_store(one, tmp_path / "two.db")
    assert merged.barred == 2 and not any(merged.added.values()) and counts(one) == before
    assert check_store(one) == []
    fresh = Store(tmp_path / "three.db")
    assert merge_store(fresh, tmp_path / "one.db").added["answers"] == before["answers"]
    assert merge_store(fresh, tmp_path / "two.db").barred == 2  # tombstones travel
    assert fresh.value("select count(*) from images where id in (?, ?)", (image, "e" * 32)) == 0


def test_images_forgotten_elsewhere_are_named_and_stay(tmp_path):
    one = study(tmp_path / "one.db")
    backup_store(one, tmp_path / "two.db")
    image = one.value("select image_id from question_images limit 1")
    forget_image(Store(tmp_path / "two.db"), image)
    before = counts(one)
    assert merge_store(one, tmp_path / "two.db").forgotten_there == [image]
    assert counts(one) == before and one.value("select count(*) from tombstones") == 0


def test_a_strangers_database_is_refused_and_left_alone(tmp_path):
    path, store = tmp_path / "stranger.db", study(tmp_path / "one.db")
    with sqlite3.connect(path) as connection:
        connection.execute("create table songs (title text)")
    connection.close()
    before, tables = path.read_bytes(), store.db.table_names()
    for attempt in (lambda: merge_store(store, path), lambda: Store(path)):
        with pytest.raises(InputError, match="something else, not of labels"):
            attempt()
    (tmp_path / "text.db").write_text("no database at all, but a text that is long enough to look like one " * 20)
    with pytest.raises(InputError, match="cannot be read as a database"):
        merge_store(store, tmp_path / "text.db")
    assert path.read_bytes() == before and store.db.table_names() == tables
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(("stranger", "merging"))) == ["stranger.db"]


def test_an_older_store_is_merged_and_stays_older(tmp_path):
    old = Database(tmp_path / "old.db")
    MIGRATIONS.apply(old, stop_before="m006_promises")
    old.execute("insert into annotators values ('link:old', 'link', null, null, '', '2026')")
    old.conn.commit()
    old.close()
    before, store = (tmp_path / "old.db").read_bytes(), study(tmp_path / "one.db")
    assert merge_store(store, tmp_path / "old.db").added["annotators"] == 1
    assert (tmp_path / "old.db").read_bytes() == before


def test_ids_that_would_be_paths_are_refused(tmp_path):
    store, other = study(tmp_path / "one.db"), make_store(tmp_path / "two.db", 3)
    with other.write() as db:
        db.execute("insert into images select '../../x', kind, source, box, licence, person, rig, crop, created "
                   "from images limit 1")  # fmt: skip
    with pytest.raises(InputError, match="which FreeAvatar never gives"):
        merge_store(store, tmp_path / "two.db")


def test_forget_deletes_no_file_another_machine_named(tmp_path):
    one, private = study(tmp_path / "one.db"), tmp_path / "private.csv"
    export_labels(one, private, kind="csv", min_agreement=0)
    two = make_store(tmp_path / "two.db", 2)
    merge_store(two, tmp_path / "one.db")
    image = two.value("select image_id from snapshot_images limit 1")
    gone = forget_image(two, image)
    assert gone.files == [] and gone.left == [str(private)] and private.is_file()


def test_forget_deletes_what_it_wrote_and_nothing_that_took_its_place(tmp_path):
    store = study(tmp_path / "one.db")
    mine, changed, crops = tmp_path / "mine.jsonl", tmp_path / "changed.jsonl", tmp_path / "crops"
    for path in (mine, changed):
        export_labels(store, path, kind="jsonl", min_agreement=0, images=crops)
    changed.write_text("my notes")
    image = store.value("select image_id from snapshot_images limit 1")
    other = json.loads(mine.read_text().splitlines()[0])["anchor"].removesuffix(".jpg")
    if other == image:
        other = store.value("select image_id from snapshot_images where image_id != ?", (image,))
    (crops / f"{other}.jpg").write_bytes(b"my picture")
    gone = forget_image(store, image)
    assert sorted(gone.files) == sorted([str(mine), str(crops / f"{image}.jpg")]) and gone.left == [str(changed)]
    assert changed.read_text() == "my notes"
    assert forget_image(store, other).left == [] and (crops / f"{other}.jpg").is_file()
