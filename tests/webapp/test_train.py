"""The Train tab: labels frozen, runs told from their folders, errors in a sentence, absent where anybody could come."""

import json
import os
import socket
import time

import gradio as gr
import pytest

import app
from annotation.pool.index import LiveIndex
from annotation.results.exporting import Selection
from annotation.results.snapshots import Choice, count_labels, freeze_labels
from annotation.store.store import Store, default_path
from freeavatar.errors import InputError, WeightsError
from freeavatar.models.library import add_bundle
from tests.bundles import make_bundle
from tests.jobs import PLAN, make_job
from tests.labels import WEIGHTS, add_annotators, make_desk, make_store
from training.jobs.job import JobConfig, list_runs, new_folder, prepare_run, read_run, write_status
from training.jobs.launching import started_at
from webapp.common import doors
from webapp.train import panel as train_panel
from webapp.train import tab as train
from webapp.train import view as train_view


@pytest.fixture
def store(tmp_path) -> Store:
    """Two people's answers to a few dozen questions, some of them random."""
    store = make_store(tmp_path / "labels.db", 30)
    add_annotators(store, "ann", "bob")
    desk = make_desk(store)
    for k in range(60):
        asked = desk.ask(("ann", "bob")[k % 2], form="odd")
        desk.answer(asked.lease, "choice", [0], seconds=1.0, client="test")
    return store


def config_of(train_file, held_out, images, base="default", **more):
    return JobConfig(train_file, images, held_out, base=str(base), plan=PLAN, **more)


def test_random_questions_are_held_out_and_nothing_else(store, tmp_path):
    labels = freeze_labels(store, tmp_path / "frozen", Choice())
    rows = {name: [json.loads(line) for line in path.read_text().splitlines()] for name, path in
            (("train", labels.train), ("held", labels.held_out))}  # fmt: skip
    assert {row["purpose"] for row in rows["held"]} == {"random"}
    assert "random" not in {row["purpose"] for row in rows["train"]}
    assert (len(rows["train"]), len(rows["held"])) == (labels.triplets, labels.held_out_triplets)
    named = {row[role] for row in rows["train"] + rows["held"] for role in ("anchor", "positive", "negative")}
    assert named == {path.name for path in labels.images.iterdir()}
    written = {row["sha256"] for row in store.rows("select sha256 from snapshots")}
    assert set(labels.hashes().values()) == written


def test_labels_are_chosen_by_whom_by_whom_not_and_how_many(store):
    everything = count_labels(store, Choice())
    by_ann, not_bob = (count_labels(store, choice) for choice in (Choice(("ann",)), Choice(left_out=("bob",))))
    assert by_ann == not_bob and 0 < by_ann.learned == by_ann.single and by_ann.held_out == 0 < everything.held_out
    assert count_labels(store, Choice(most=5, min_agreement=0.0)).learned == 5
    assert Selection(frozenset(), is_pictured=True).of([]) == []


def test_one_persons_answer_is_learned_from_and_nothing_is_measured_with_it(store, tmp_path):
    alone = store.value(
        "select count(*) from (select 1 from valid_answers a join questions q on q.id = a.question_id "
        "where a.action = 'choice' and q.purpose = ? group by q.id having count(distinct annotator_id) = 1)",
        ("informative",),
    )
    counts = count_labels(store, Choice(min_agreement=0.0))
    assert counts.single == alone > 0
    assert f"{alone} of them answered by one person alone" in train.labels_note(store, Choice(min_agreement=0.0), "en")
    labels = freeze_labels(store, tmp_path / "frozen", Choice(min_agreement=0.0))
    votes = {path: [json.loads(line)["votes"] for line in path.read_text().splitlines()]
             for path in (labels.train, labels.held_out)}  # fmt: skip
    assert votes[labels.train].count(1) == alone and min(votes[labels.held_out]) == 2


def test_no_labels_yet_is_said_and_no_folder_is_left(tmp_path):
    empty = make_store(tmp_path / "empty.db", 5)
    assert "No labels to learn from yet" in train.labels_note(empty, Choice(), "en")
    with pytest.raises(InputError, match="there are no labels to learn from yet: answer questions"):
        train.begin(empty, Choice(), config_of)
    assert list_runs() == [] and not any((default_path().parents[1] / "runs").iterdir())


def test_a_run_that_cannot_start_leaves_nothing_behind(store, tmp_path):
    def broken(*labels):
        return config_of(*labels, base=make_bundle(tmp_path / "rig", controls=("wagTail",)))

    with pytest.raises(WeightsError, match="expected ARKit's blendshapes alone"):
        train.begin(store, Choice(), broken)
    with pytest.raises(InputError, match="there is no device 'cuda:3'"):
        train.begin(store, Choice(), lambda *labels: config_of(*labels, device="cuda:3"))
    assert list_runs() == []


def test_the_sampler_follows_the_adopted_weights(tmp_path):
    store = make_store(tmp_path / "labels.db", 10)
    now, embedded = [WEIGHTS], []

    def embed():
        embedded.append(now[0])
        with store.write() as db:
            db.execute("insert into embeddings select image_id, ?, vector from embeddings", (now[0],))

    index = LiveIndex(store, WEIGHTS, adopted=lambda: now[0], embed=embed)
    assert index.current().model == WEIGHTS and not embedded
    now[0] = "another"
    index._made = 0.0
    index.current()
    end = time.monotonic() + 20
    while index.current().model != "another":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert embedded == ["another"] and len(index.current().ids) == 10


def test_every_state_of_a_run_is_shown_in_words(tmp_path):
    run = prepare_run(new_folder(), make_job(tmp_path, title="<eyes> first"))
    assert "No run yet" in train_view.run_page(None, "en")
    assert "&lt;eyes&gt; first" in train_view.run_page(run, "en") and "Resume starts it" in train_view.run_page(
        run, "en"
    )
    write_status(run.folder, state="failed", reason="no room.", done=["rehearsal"])
    assert "No room." in train_view.run_page(read_run(run.folder), "en")
    lines = [{"step": 1, "minutes": 0.5, "rig": 1.0, "listed_triplets": 0.2},
             {"step": 1, "held_out": 0.5, "held_out_low": 0.4, "held_out_high": 0.6}]  # fmt: skip
    (run.folder / "encoder").mkdir()
    (run.folder / "encoder" / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    write_status(run.folder, state="finished", bundle="0123456789ab", seconds={"encoder": 90.0}, done=["encoder"])
    page = train_view.run_page(read_run(run.folder), "en")
    assert "Done in 1.5 minutes" in page and "<polygon" in page
    pace = train_view._pace(read_run(run.folder), lines, "Training", "en")
    assert "step 1 of 3" in pace and "images/s" in pace and "left in this stage" in pace


def test_the_rig_decoders_stage_is_shown_where_there_is_one(tmp_path):
    plain = prepare_run(new_folder(), make_job(tmp_path / "a"))
    assert "Rig decoder" not in train_view.run_page(plain, "en")
    run = prepare_run(new_folder(), make_job(tmp_path / "b", has_renderer=True))
    (run.folder / "decoder").mkdir()
    (run.folder / "decoder" / "metrics.jsonl").write_text('{"step": 1, "minutes": 0.1, "rig": 0.2}\n')
    own = {"pid": os.getpid(), "host": socket.gethostname(), "started": started_at(os.getpid())}
    title = "Refitting the rig decoder"
    write_status(run.folder, state="running", stage="decoder", title=title, done=["rehearsal", "encoder"], **own)
    page = train_view.run_page(read_run(run.folder), "en")
    assert '<li class="now">Rig decoder</li>' in page and f"{title}: step 1 of 2" in page and "width:85.0%" in page


def test_emptied_boxes_mean_their_defaults(tmp_path):
    config = train._config("default", "quick", "cuda:0,1", None, None, "slurm", "slurm_partition=gpu a=1", None)
    assert (config.title, config.processes, config.original) == ("", 2, None)
    assert config.cluster == {"slurm_partition": "gpu", "a": "1"}
    assert train._config("default", "quick", "cpu", None, None, "process", None, " ").cluster == {}
    for cluster, original, message in (("fast", "", "write name=value"), ("", str(tmp_path), "holds no labels.csv")):
        with pytest.raises(InputError, match=message):
            train._config("default", "quick", "cpu", "", 1, "process", cluster, original)


def figure(value, count, half):
    return {"value": value, "low": value - half, "high": value + half, "count": count, "chance": 0.33}


def test_too_few_answers_show_no_number():
    few = {"before": figure(0.5, 12, 0.3), "after": figure(0.625, 12, 0.3), "difference": figure(0.125, 12, 0.3)}
    page = train_view.report_page({"held_out": {**few, "verdict": "too few"}}, "en")
    assert "12 are too few to see a difference" in page and "62.5" not in page and "+12.5" not in page
    clear = {"before": figure(0.5, 400, 0.05), "after": figure(0.6, 400, 0.05), "difference": figure(0.1, 400, 0.04)}
    page = train_view.report_page({"held_out": {**clear, "verdict": "better"}}, "en")
    assert "+10.0 points" in page and "[+6.0, +14.0]" in page
    assert "Nobody answered a random question" in train_view.report_page({"rig": {"before": 0.5, "after": 0.5}}, "en")


def test_the_verdict_goes_by_pictures_that_training_did_not_show():
    better = {"verdict": "better", "difference": figure(0.1, 400, 0.04)}
    alike = {"verdict": "alike", "difference": figure(0.0, 90, 0.04)}
    assert "agrees with more" in train_view.verdict_words({"held_out": better}, "en")
    assert "On 90 held-out" in train_view.verdict_words({"held_out": better, "held_out_new": alike}, "en")
    seen = {"held_out": better, "held_out_new": None}
    assert "picture that was trained on" in train_view.verdict_words(seen, "en")


def test_the_study_between_two_bundles_is_asked_once(store, tmp_path, short_clip):
    run = prepare_run(new_folder(), make_job(tmp_path))
    with pytest.raises(InputError, match="animated no clip"):
        train_panel.add_study(store, run)
    (run.folder / "compare").mkdir()
    for name in ("actor", "before", "after"):
        (run.folder / "compare" / f"{name}.mp4").write_bytes(short_clip.read_bytes())
    clips = {name: f"{name}.mp4" for name in ("actor", "before", "after", "both")}
    (run.folder / "report.json").write_text(json.dumps({"before": "aaa", "after": "bbb", "clip": clips}))
    assert train_panel.add_study(store, run) and not train_panel.add_study(store, run)
    (row,) = store.rows("select method_0, method_1 from comparisons")
    assert row == {"method_0": "bundle aaa", "method_1": "bundle bbb"}


def test_the_library_shows_which_bundle_is_in_use(tmp_path):
    entry = add_bundle(make_bundle(tmp_path / "b"), lineage={"title": "<i>mine</i>", "base": "abc"})
    page = train_view.bundles_page("en")
    assert "&lt;i&gt;mine" in page and entry.id in page and page.count("in use") == 1


def test_handlers_refuse_who_gave_no_password(monkeypatch):
    with pytest.raises(gr.Error, match="password first"):
        doors.check_signed_in(False, "en")
    monkeypatch.setenv(doors.PASSWORD, "secret")
    with pytest.raises(gr.Error, match="not the password"):
        monkeypatch.setattr(doors, "_WRONG_PAUSE", 0)
        doors.check_password("guess", "en")
    doors.check_password("secret", "en")


def test_off_this_machine_the_tab_is_absent_without_a_password(monkeypatch):
    shown = {}
    monkeypatch.setattr(app, "build", lambda tabs, **options: shown.update(tabs=tabs))
    monkeypatch.setattr(app, "launch", lambda *args, **options: None)
    for host, password, is_there in (("0.0.0.0", "", False), ("0.0.0.0", "x", True), ("127.0.0.1", "", True)):
        monkeypatch.setenv(doors.PASSWORD, password)
        monkeypatch.setattr("sys.argv", ["app.py", "--host", host])
        app.main()
        assert all((tab in shown["tabs"]) == is_there for tab in ("explore", "train", "admin"))
