"""Labels out and in: round trips, snapshots, forgetting."""

import csv
import json

import cv2
import pytest

from annotation.asking.comparing import import_comparisons
from annotation.cli import main
from annotation.people.simulate import Oracle, SimulateOptions, simulate
from annotation.results import exporting
from annotation.results.exporting import Selection, export_labels
from annotation.results.importing_labels import import_answers
from annotation.results.quality import compare_methods
from annotation.store.forgetting import forget_image
from annotation.store.maintenance import backup_store, check_store
from annotation.store.settings import change_settings
from annotation.store.store import Store
from annotation.store.votes import read_tallies
from freeavatar.errors import InputError
from freeavatar.fec import read_fec
from tests.labels import WEIGHTS, add_annotators, make_desk, make_store

FEC = [
    [f"http://x.y/{name}.jpg", "0.289551", "0.625", "0.25", "0.75"] for name in ("a", "b", "c%20d", "e")
]  # fmt: skip


def fec_file(path):
    rows = [
        [*FEC[0], *FEC[1], *FEC[2], "ONE_CLASS_TRIPLET", "7", "1", "8", "1", "9", "3"],
        [*FEC[1], *FEC[3], *FEC[0], "THREE_CLASS_TRIPLET", "7", "2", "8", "2", "9", "2", "4", "1", "5", "2", "6", "2"],
        [*FEC[1], *FEC[3], *FEC[0], "TWO_CLASS_TRIPLET", "7", "1", "8", "2", "9", "3"],
    ]
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def crowd_store(tmp_path, **changes):
    store = make_store(tmp_path / "crowd.db")
    change_settings(store, **({"grid_share": 0.3} | changes))
    simulate(store, make_desk(store), Oracle(store, WEIGHTS), SimulateOptions(6, 150, noise=0.0))
    return store


def test_fec_comes_back_as_it_went_in(tmp_path):
    source, store = fec_file(tmp_path / "fec.csv"), Store(tmp_path / "a.db")
    assert import_answers(store, source) == 12
    export_labels(store, tmp_path / "out.csv", kind="fec", min_agreement=0)
    assert list(read_fec(tmp_path / "out.csv")) == list(read_fec(source))
    assert (tmp_path / "out.csv").read_text() == source.read_text()
    assert check_store(store) == []


def test_agreement_filters_fec(tmp_path):
    store = Store(tmp_path / "a.db")
    import_answers(store, fec_file(tmp_path / "fec.csv"))
    assert export_labels(store, tmp_path / "out.csv", kind="fec", min_agreement=0.66).triplets == 2
    assert export_labels(store, tmp_path / "out.csv", kind="csv", min_agreement=0.8).triplets == 1
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows[0] == "anchor,positive,negative,type" and len(rows) == 2


def test_the_papers_csv_comes_back_as_it_went_in(tmp_path):
    text = "anchor,positive,negative,type\nx/1.png,x/2.png,y.png,TWO_CLASS_TRIPLET\ny.png,x/1.png,x/2.png,3\n"
    (tmp_path / "in.csv").write_text(text)
    store = Store(tmp_path / "a.db")
    import_answers(store, tmp_path / "in.csv")
    export_labels(store, tmp_path / "out.csv", kind="csv")
    assert (tmp_path / "out.csv").read_text() == text
    with pytest.raises(InputError, match="imported before"):
        import_answers(store, tmp_path / "in.csv")


def test_bad_csvs_are_one_sentence_and_add_nothing(tmp_path):
    store = Store(tmp_path / "a.db")
    cases = {
        "anchor,positive,type\na,b,1\n": "no column negative",
        "anchor,positive,negative,type\na,,c,1\n": "fewer than three",
        ",".join([*FEC[0], *FEC[1], *FEC[2], "ONE_CLASS_TRIPLET", "7", "4"]): "votes of 1, 2 or 3",
        ",".join([*FEC[0], *FEC[1], "u", "x", "1", "1", "1", "ONE_CLASS_TRIPLET", "7", "1"]): "no number",
        "anchor,positive,negative,type\n" + "a" * 200_000: "field larger",
        "a" * 200_000: "field larger",
    }
    for text, words in cases.items():
        (tmp_path / "in.csv").write_text(text)
        with pytest.raises(InputError, match=words):
            import_answers(store, tmp_path / "in.csv")
    assert store.value("select count(*) from questions") == 0


def test_a_snapshot_is_complete(tmp_path):
    store = crowd_store(tmp_path)
    out = export_labels(store, tmp_path / "s.jsonl", kind="jsonl", images=tmp_path / "images")
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert len(rows) == out.triplets > 50
    for row in rows:
        assert row["type"] in ("ONE_CLASS_TRIPLET", "TWO_CLASS_TRIPLET", "THREE_CLASS_TRIPLET")
        assert len({row["anchor"], row["positive"], row["negative"]}) == 3 and row["agreement"] >= 0.66
        assert all((tmp_path / "images" / row[key]).is_file() for key in ("anchor", "positive", "negative"))
    assert cv2.imread(str(tmp_path / "images" / rows[0]["anchor"])).shape == (32, 32, 3)


def test_triplets_say_why_they_were_asked_and_are_exported_by_it(tmp_path):
    store = crowd_store(tmp_path, check_share=0.3, redundancy=1, most_raters=1, random_share=0.4)
    out = tmp_path / "s.jsonl"

    def exported(*purposes):
        export_labels(store, out, kind="jsonl", min_agreement=0, purposes=purposes)
        return [json.loads(line) for line in out.read_text().splitlines()]

    rows, parts = exported(), {name: exported(name) for name in ("informative", "random", "repeat")}
    for name, part in parts.items():
        assert part and {row["purpose"] for row in part} == {name}
    assert rows == exported("informative", "random") and len(rows) == len(parts["informative"] + parts["random"])
    answered = store.value(
        "select count(distinct question_id) from valid_answers a where purpose = 'repeat' "
        "and (select form from questions where id = a.question_id) = 'odd'"
    )
    assert len(parts["repeat"]) == answered
    with pytest.raises(InputError, match="asked for gold has"):
        exported("gold")
    with pytest.raises(InputError, match="no purpose 'luck'"):
        exported("luck")


def test_grids_give_a_triplet_for_every_picked_and_left_pair(tmp_path):
    store = crowd_store(tmp_path, grid_share=1.0, redundancy=1, most_raters=1)
    grids = [tally for tally in read_tallies(store) if tally.form == "grid"]
    count = export_labels(store, tmp_path / "s.csv", kind="csv").triplets
    assert count == len(grids) * 6 * 6


def test_one_persons_answer_settles_nothing_unless_the_study_asks_for_no_more(tmp_path):
    store = crowd_store(tmp_path, grid_share=0.0, random_share=0.0, check_share=0.0)
    simulate(store, make_desk(store), Oracle(store, WEIGHTS), SimulateOptions(1, 12, seed=1))
    tallies = read_tallies(store)
    alone = sum(len(tally.votes) == 1 for tally in tallies)
    one = Selection(min_raters=1)
    everything = export_labels(store, tmp_path / "s.csv", kind="csv", min_agreement=0, selection=one).triplets
    assert alone > 0 and everything == len(tallies)
    assert export_labels(store, tmp_path / "s.csv", kind="csv", min_agreement=0).triplets == everything - alone
    change_settings(store, redundancy=1)
    assert export_labels(store, tmp_path / "s.csv", kind="csv", min_agreement=0).triplets == everything


def test_nothing_settled_is_said(tmp_path):
    store = make_store(tmp_path / "a.db")
    with pytest.raises(InputError, match="no triplet"):
        export_labels(store, tmp_path / "s.csv", kind="csv")
    assert not (tmp_path / "s.csv").exists()


def test_forgetting_leaves_no_trace(tmp_path):
    store = crowd_store(tmp_path)
    export_labels(store, tmp_path / "s.jsonl", kind="jsonl", images=tmp_path / "images", min_agreement=0)
    image = store.value("select image_id from snapshot_images limit 1")
    crop = store.value("select crop from images where id = ?", (image,))
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"triplets": str((tmp_path / "s.jsonl").resolve())}))
    (tmp_path / "runs" / "other").mkdir()
    (tmp_path / "runs" / "other" / "config.json").write_text("{}")
    (run / "compare").mkdir()
    caches = [run / "images_1.npy", run / "features_2.npz", run / "compare" / "images_3.npy"]
    kept = [tmp_path / "runs" / "other" / "images_1.npy", run / "figures.npz"]
    for path in (*caches, *kept):
        path.write_bytes(crop)
    gone = forget_image(store, "test/" + str(int(image, 16)) + ".png", models=[tmp_path / "runs"])
    assert gone.images == 1 and gone.answers > 0 and gone.models == [str(run / "config.json")]
    assert not (tmp_path / "s.jsonl").exists() and not (tmp_path / "images" / f"{image}.jpg").exists()
    assert {str(path) for path in caches} <= set(gone.files) and gone.left == []
    assert not any(path.exists() for path in caches) and all(path.exists() for path in kept)
    assert check_store(store) == []
    store.close()
    assert all(crop not in path.read_bytes() for path in tmp_path.glob("crowd.db*"))
    with pytest.raises(InputError, match="no image"):
        forget_image(Store(tmp_path / "crowd.db"), image)


def test_an_image_forgotten_during_an_export_is_not_in_it(tmp_path, monkeypatch):
    store = crowd_store(tmp_path)
    image = store.value("select image_id from question_images q join valid_answers a on a.question_id = q.question_id")
    write = exporting._write_jsonl

    def forget_then_write(*values):
        forget_image(store, image)
        return write(*values)

    monkeypatch.setattr(exporting, "_write_jsonl", forget_then_write)
    with pytest.raises(InputError, match="export again"):
        export_labels(store, tmp_path / "s.jsonl", kind="jsonl", images=tmp_path / "images", min_agreement=0)
    assert not (tmp_path / "s.jsonl").exists() and not (tmp_path / "images" / f"{image}.jpg").exists()
    assert check_store(store) == []


def test_methods_are_compared_blind(tmp_path):
    for name in ("actor.mp4", "ours.png", "theirs.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "ab.csv").write_text(
        "actor,method_0,clip_0,method_1,clip_1\n" + "actor.mp4,ours,ours.png,theirs,theirs.png\n" * 4
    )
    store = make_store(tmp_path / "a.db")
    assert import_comparisons(store, tmp_path / "ab.csv") == 4
    add_annotators(store, "link:a")
    desk, orders = make_desk(store), set()
    for _ in range(4):
        asked = desk.ask("link:a", form="ab")
        orders.add(asked.shown)
        desk.answer(asked.lease, "choice", [asked.shown.index(0)])
    (duel,) = compare_methods(store)
    assert duel.methods == ("ours", "theirs") and duel.wins == (4, 0) and len(orders) == 2
    (tmp_path / "ab.csv").write_text("actor,method_0,clip_0,method_1\n")
    with pytest.raises(InputError, match="no column clip_1"):
        import_comparisons(store, tmp_path / "ab.csv")
    for line, words in (("actor.mp4,ours", "line 2 is too short"), ("a" * 200_000, "field larger")):
        (tmp_path / "ab.csv").write_text("actor,method_0,clip_0,method_1,clip_1\n" + line)
        with pytest.raises(InputError, match=words):
            import_comparisons(store, tmp_path / "ab.csv")


def test_the_database_is_never_written_over(tmp_path):
    store = crowd_store(tmp_path)
    with pytest.raises(InputError, match="this database itself"):
        backup_store(store, tmp_path / "." / "crowd.db")
    with pytest.raises(InputError, match="this database itself"):
        export_labels(store, tmp_path / "crowd.db", kind="csv")
    assert check_store(store) == []


def test_the_command_line_runs_from_simulation_to_snapshot(tmp_path, capsys):
    crowd_store(tmp_path).close()
    db = ["--db", str(tmp_path / "crowd.db")]
    out = str(tmp_path / "s.jsonl")
    assert main(["export", *db, "--out", out]) == 0
    assert main(["stats", *db]) == 0 and main(["check", *db]) == 0
    assert main(["backup", *db, str(tmp_path / "copy.db")]) == 0
    assert main(["merge", "--db", str(tmp_path / "new.db"), str(tmp_path / "copy.db")]) == 0
    assert main(["settings", *db, "quota=9"]) == 0
    text = capsys.readouterr().out
    assert "Krippendorff's alpha" in text and "sound." in text and "quota=9" in text
    assert main(["stats", "--db", str(tmp_path / "none.db")]) == 1
    assert "there is no database" in capsys.readouterr().err
