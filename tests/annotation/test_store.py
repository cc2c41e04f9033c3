"""The store: ids, transactions, migrations, errors in words."""

import csv
import sqlite3
import threading

import numpy as np
import pytest
from sqlite_utils import Database

from annotation.cli import main
from annotation.people.completions import QUOTA, give_code
from annotation.people.consent import consent_id, consent_text, has_agreed, record_consent
from annotation.store.ids import new_id, now
from annotation.store.maintenance import backup_store, check_store, exclude_annotator
from annotation.store.merging import merge_store
from annotation.store.settings import change_settings, parse_change, read_settings
from annotation.store.store import Store
from freeavatar.errors import InputError
from tests.labels import WEIGHTS, add_annotators, make_desk, make_store


def test_ids_sort_by_time_and_are_uuids_of_version_7():
    ids = [new_id() for _ in range(5000)]
    assert ids == sorted(set(ids))
    assert all(len(i) == 32 and i[12] == "7" and i[16] in "89ab" for i in ids)


def test_threads_lose_no_write(tmp_path):
    store = Store(tmp_path / "a.db")

    def work(k: int) -> None:
        mine = Store(tmp_path / "a.db")
        for n in range(40):
            with mine.write() as db:
                db.execute("insert into settings values (?, ?)", (f"{k}-{n}", "1"))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.value("select count(*) from settings") == 320


def test_tables_are_strict_and_the_log_is_ahead(tmp_path):
    store = Store(tmp_path / "a.db")
    assert store.value("pragma journal_mode") == "wal"
    assert all(store.db.table(name).strict for name in ("images", "questions", "answers", "leases"))
    with pytest.raises(InputError), store.write() as db:
        db.execute("insert into settings values (1, x'00')")


def test_a_failed_block_leaves_nothing(tmp_path):
    store = Store(tmp_path / "a.db")
    with pytest.raises(RuntimeError), store.write():
        store.set("a", 1)
        raise RuntimeError
    assert store.get("a") is None


def test_a_newer_database_is_refused_untouched(tmp_path):
    Store(tmp_path / "a.db").close()
    Database(tmp_path / "a.db").query("select 1")
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute(
        "insert into _sqlite_migrations (migration_set, name, applied_at) values ('annotation', 'm999', 'x')"
    )
    connection.commit()
    with pytest.raises(InputError, match="newer version"):
        Store(tmp_path / "a.db")


def test_a_write_inside_a_snapshot_is_no_silent_loss(tmp_path):
    store = Store(tmp_path / "a.db")
    with pytest.raises(AssertionError, match="write before or after"), store.snapshot():
        store.set("quota", 1)
    with store.write(), store.snapshot():
        store.set("quota", 2)
    with store.snapshot():
        assert store.get("quota") == 2


def test_a_locked_database_is_one_sentence(tmp_path):
    store = Store(tmp_path / "a.db", timeout=0.1)
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(InputError, match="locked by another program"):
        store.set("a", 1)
    other.execute("rollback")
    store.set("a", 1)


def test_no_database_and_no_database_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no database"):
        Store(tmp_path / "a.db", is_new_ok=False)
    (tmp_path / "b.db").write_text("not a database at all, only a text that is long enough to look at")
    with pytest.raises(InputError, match=r"b\.db"):
        Store(tmp_path / "b.db")


def test_settings_are_kept_and_checked(tmp_path):
    store = Store(tmp_path / "a.db")
    change_settings(store, **dict([parse_change("quota=5"), parse_change("is_builtin_asked=true")]))
    assert read_settings(store).quota == 5 and read_settings(store).is_builtin_asked is True
    for text in ("quota=x", "speed=3"):
        with pytest.raises(InputError):
            parse_change(text)
    with pytest.raises(InputError):
        change_settings(store, redundancy=9)


def answered(path, count=12):
    store = make_store(path)
    add_annotators(store, "link:a", "link:b")
    desk = make_desk(store)
    for k in range(count):
        asked = desk.ask(f"link:{'ab'[k % 2]}", form="odd")
        desk.answer(asked.lease, "choice", [0], seconds=2)
    return store, desk


def test_a_sound_store_passes_and_damage_is_named(tmp_path):
    store, _ = answered(tmp_path / "a.db")
    assert check_store(store) == []
    store.db.execute("pragma foreign_keys=off")
    with store.write() as db:
        db.execute("delete from images where id = (select image_id from question_images limit 1)")
        db.execute("insert into answers select 'x', lease_id, question_id, annotator_id, purpose, action, '[7]', shown,"
                   " seconds, undoes, client, created from answers limit 1")  # fmt: skip
    words = " ".join(check_store(store))
    assert "orphan" in words and "answered twice" in words and "chose a place" in words


def test_answers_cannot_be_changed(tmp_path):
    store, _ = answered(tmp_path / "a.db", 1)
    with pytest.raises(InputError, match="never changed"), store.write() as db:
        db.execute("update answers set choice = '[1]'")


def test_a_backup_holds_every_row_and_is_sound(tmp_path):
    store, _ = answered(tmp_path / "a.db")
    backup_store(store, tmp_path / "copy.db")
    copy = Store(tmp_path / "copy.db")
    assert copy.value("select count(*) from answers") == 12 and check_store(copy) == []


def test_stores_of_two_machines_merge(tmp_path):
    one, _ = answered(tmp_path / "one.db")
    backup_store(one, tmp_path / "two.db")
    two = Store(tmp_path / "two.db")
    for store in (one, two):  # both go on from the same state
        desk = make_desk(store)
        desk.answer(desk.ask("link:a", form="odd").lease, "choice", [1])
    added = merge_store(one, tmp_path / "two.db").added
    assert added["answers"] == 1 and one.value("select count(*) from answers") == 14
    assert check_store(one) == []
    assert not any(merge_store(one, tmp_path / "two.db").added.values())
    with pytest.raises(InputError, match="itself"):
        merge_store(one, tmp_path / "one.db")


def test_an_excluded_annotator_frees_the_slots_and_can_come_back(tmp_path):
    store, _ = answered(tmp_path / "a.db")
    exclude_annotator(store, "link:a", is_excluded=True, reason="clicks")
    assert {row["annotator_id"] for row in store.rows("select * from valid_answers")} == {"link:b"}
    exclude_annotator(store, "link:a", is_excluded=False, reason="mistake")
    assert store.value("select count(*) from valid_answers") == 12 and check_store(store) == []
    with pytest.raises(InputError):
        exclude_annotator(store, "link:z", is_excluded=True, reason="")


def test_embeddings_are_float32_rows(tmp_path):
    store = make_store(tmp_path / "a.db")
    data = store.value("select vector from embeddings where weights = ? limit 1", (WEIGHTS,))
    assert np.frombuffer(data, np.float32).shape == (16,) and now() > "2020"


def test_a_lock_somebody_keeps_is_one_sentence(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    store = Store(tmp_path / "a.db", timeout=0.2)
    with open(tmp_path / "a.db.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"locked by another program for more than 0\.2 s"):
            store.set("a", 1)
    store.set("a", 2)
    assert store.get("a") == 2


def test_the_default_consent_is_shown_in_the_readers_language_and_either_counts(tmp_path):
    store = Store(tmp_path / "a.db")
    chinese = consent_text(store, "zh")
    assert chinese != consent_text(store) == consent_text(store, "fr")
    assert record_consent(store, "link:a", consent_id(chinese), client="") and has_agreed(store, "link:a")
    assert store.value("select text from consents") == chinese
    store.set("consent", "We study faces.")
    assert consent_text(store, "zh") == "We study faces." and not has_agreed(store, "link:a")


def test_a_changed_consent_is_agreed_to_anew(tmp_path, capsys):
    store = Store(tmp_path / "a.db")
    first = consent_id(consent_text(store))
    assert record_consent(store, "link:a", first, client="") and has_agreed(store, "link:a")
    (tmp_path / "text.txt").write_text("We study faces.\n\nTaking part is voluntary.\n")
    assert main(["settings", "--db", str(store.path), "--consent", str(tmp_path / "text.txt"), "quota=9"]) == 0
    assert consent_text(store) == "We study faces.\nTaking part is voluntary." and "We study" in capsys.readouterr().out
    assert not has_agreed(store, "link:a") and not record_consent(store, "link:a", first, client="")
    assert record_consent(store, "link:a", consent_id(consent_text(store)), client="") and has_agreed(store, "link:a")
    assert store.value("select count(*) from agreements") == 2 and store.value("select count(*) from consents") == 2
    (tmp_path / "text.txt").write_text(" \n")
    for path in ("text.txt", "none.txt"):
        assert main(["settings", "--db", str(store.path), "--consent", str(tmp_path / path)]) == 1
    assert "expected some text" in capsys.readouterr().err and len(consent_text(store).splitlines()) == 2


def test_codes_are_kept_listed_and_checked(tmp_path, capsys):
    store, _ = answered(tmp_path / "a.db")
    code = give_code(store, "link:a", reason=QUOTA, done=6)
    assert give_code(store, "link:a", reason=QUOTA, done=7) == code != give_code(store, "link:b", reason=QUOTA, done=6)
    db = ["--db", str(store.path)]
    assert main(["codes", *db, "--out", str(tmp_path / "codes.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "codes.csv").open()))
    assert [row["annotator"] for row in rows] == ["link:a", "link:b"] and rows[0]["code"] == code
    assert rows[0]["answers"] == rows[0]["answers_now"] == "6"
    assert main(["codes", *db, code.lower()]) == 0 and main(["codes", *db, "AAAAAAAA"]) == 1
    assert "never given" in capsys.readouterr().out
