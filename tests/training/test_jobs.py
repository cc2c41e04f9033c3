"""Runs as processes of their own: their folder tells everything; each failure is one sentence."""

import json
import os
import shutil
import sys
import time
from collections import namedtuple

import pytest
import torch
from torch.distributed.run import get_args_parser

from annotation.store.forgetting import _trained_on
from freeavatar.errors import InputError, WeightsError
from freeavatar.models.library import bundle_id, find_bundle, list_bundles
from freeavatar.networks import load_bundle
from freeavatar.paths import bundles_folder, runs_folder
from tests.jobs import make_job, make_portraits
from training import train_emb2rig_multichar
from training.data.portraits import read_portraits
from training.engine.metrics import read_metrics
from training.jobs import job as jobs
from training.jobs import runner
from training.jobs.job import LOG, STOP, list_runs, new_folder, prepare_run, read_run, start_run, write_status
from training.jobs.launching import started_at
from training.jobs.runner import Runner, Step, reason_of, steps_of
from training.renders import portraits as render_portraits
from training.renders import rehearsal


@pytest.fixture
def prepared(tmp_path):
    """A run that was never started."""
    return prepare_run(new_folder(), make_job(tmp_path, title="tiny"))


def wait(folder, seconds=240.0):
    """The run when it no longer goes on."""
    end = time.monotonic() + seconds
    while (run := read_run(folder)).is_going:
        assert time.monotonic() < end, (folder / LOG).read_text()
        time.sleep(0.3)
    return run


def script(name, code):
    """A stage that runs some Python."""
    return Step(name, name, [sys.executable, "-c", code])


def run_steps(monkeypatch, folder, *steps):
    monkeypatch.setattr(runner, "steps_of", lambda folder, config: list(steps))
    monkeypatch.setattr(runner, "publish", lambda folder, config: "0123456789ab")
    return Runner(folder).go()


def test_a_run_makes_a_whole_bundle_that_says_where_it_came_from(prepared):
    start_run(prepared.folder)
    with pytest.raises(InputError, match="a run is going on already"):
        start_run(prepared.folder)
    run = wait(prepared.folder)
    assert run.state == "finished", (run.reason, (run.folder / LOG).read_text())
    entry = list_bundles()[-1]
    assert entry.id == run.status["bundle"] and entry.title == "tiny"
    assert entry.lineage["base"] == bundle_id(find_bundle(run.config.base)) and entry.lineage["run"] == run.id
    assert entry.lineage["labels"]["sha256"] == run.config.sha256
    assert {"held_out", "validation", "rig"} <= set(entry.metrics)
    assert any("held_out_low" in line for line in read_metrics(run.folder / "encoder"))
    assert run.config.sha256["train.jsonl"] in (run.folder / "encoder" / "config.json").read_text()
    snapshot = {"path": "moved", "sha256": run.config.sha256["train.jsonl"]}
    known = [path for folder in (runs_folder(), bundles_folder()) for path in _trained_on([snapshot], folder)]
    assert run.folder / "config.json" in known and entry.folder / "lineage.json" in known


def test_stages_run_in_order_and_a_resumed_run_skips_what_is_done(prepared, monkeypatch):
    folder = prepared.folder
    first = script("one", "open('one', 'a').write('x')")
    broken = script("two", "import sys; print('noise'); sys.exit('training: the file is gone: bring it back.')")
    monkeypatch.setattr(runner, "ROOT", folder)
    assert run_steps(monkeypatch, folder, first, broken) == 1
    run = read_run(folder)
    assert (run.state, run.reason) == ("failed", "the file is gone: bring it back.")
    assert run_steps(monkeypatch, folder, first, script("two", "")) == 0
    assert read_run(folder).state == "finished" and (folder / "one").read_text() == "x"


def test_stop_lets_the_stage_save_and_the_next_start_goes_on_with_it(prepared, monkeypatch):
    saving = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(60)"
    (prepared.folder / STOP).touch()
    assert run_steps(monkeypatch, prepared.folder, script("long", saving)) == 0
    run = read_run(prepared.folder)
    assert run.state == "stopped" and run.status["done"] == []


def test_a_killed_stage_is_told_as_killed(prepared, monkeypatch):
    killed = script("encoder", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert run_steps(monkeypatch, prepared.folder, killed) == 1
    run = read_run(prepared.folder)
    assert run.state == "failed" and "killed (SIGKILL" in run.reason and "resume" in run.reason


def test_a_stage_that_alone_is_told_to_end_is_not_done(prepared, monkeypatch):
    """What it had saved by then is no bundle; the next start goes on."""
    ended = "import os, signal; signal.signal(signal.SIGTERM, lambda *_: os._exit(143)); os.kill(os.getpid(), 15)"
    assert run_steps(monkeypatch, prepared.folder, script("encoder", ended)) == 1
    run = read_run(prepared.folder)
    assert run.state == "failed" and "killed (SIGTERM)" in run.reason
    assert run.status["done"] == [] and "bundle" not in run.status


def test_a_run_whose_process_is_gone_counts_as_failed(prepared):
    here = {"pid": os.getpid(), "host": jobs.socket.gethostname()}
    write_status(prepared.folder, state="running", **here, started=started_at(os.getpid()))
    assert read_run(prepared.folder).state == "running"
    write_status(prepared.folder, state="running", **here, started="another process of that number")
    run = read_run(prepared.folder)
    assert run.state == "failed" and "its process is gone" in run.reason


def test_two_people_cannot_start_runs_at_once(prepared, tmp_path):
    second = prepare_run(new_folder(), make_job(tmp_path / "second"))
    own = {"pid": os.getpid(), "host": jobs.socket.gethostname(), "started": started_at(os.getpid())}
    write_status(prepared.folder, state="running", began=time.time(), **own)
    with pytest.raises(InputError, match=r"a run is going on already \(tiny, since \d\d:\d\d\): wait for its end"):
        start_run(second.folder)
    assert read_run(second.folder).state == "stopped"
    assert [run.id for run in list_runs()] == sorted([second.id, prepared.id], reverse=True)


def test_what_cannot_be_run_is_refused_in_a_sentence(tmp_path, monkeypatch):
    config = make_job(tmp_path)
    folder = new_folder()
    for change, message in (
        ({"device": "cuda:7"}, "there is no device 'cuda:7'"),
        ({"train": tmp_path / "gone.jsonl"}, "there are no labels"),
        ({"processes": 0}, "give at least 1"),
    ):
        with pytest.raises(InputError, match=message):
            prepare_run(folder, jobs.replace(config, **change))
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch, pytest.raises(InputError, match="10 MB free, and this run takes about"):
        patch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 10 * 2**20))
        prepare_run(folder, config)
    file = find_bundle(config.base) / "encoder.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(WeightsError, match="take all files from one bundle"):
        prepare_run(folder, config)
    with pytest.raises(InputError, match="slurm did not take the run"):
        prepared = prepare_run(folder, make_job(tmp_path / "again", launcher="slurm"))
        start_run(prepared.folder)
    assert read_run(folder).state == "stopped"


def test_the_reason_is_the_stages_own_sentence(tmp_path):
    log = tmp_path / "log"
    for text, reason in (
        ("1\ntraining: no room.\nTraceback\n  x\nChildFailedError: y\n", "no room."),
        ("a\nValueError: bad\n[W] noise\n", "ValueError: bad"),
        ("", "it ended with code 3."),
    ):
        log.write_text(text)
        assert reason_of(3, log, 0) == reason
    assert reason_of(0, log, 0) == ""


def test_several_processes_share_a_batch_by_torchrun(prepared):
    two = jobs.replace(prepared.config, processes=2)
    command = next(step.command for step in steps_of(prepared.folder, two) if step.name == "encoder")
    assert "torch.distributed.run" in command and "--nproc_per_node=2" in command
    told = get_args_parser().parse_args(command[command.index("torch.distributed.run") + 1 :])
    assert told.training_script == "training.train" and "--start" in told.training_script_args
    assert command[command.index("--batch") + 1] == "6" and command[command.index("--parts") + 1] == "2"


def test_a_base_with_a_neural_renderer_has_its_decoder_refitted(prepared, tmp_path):
    assert [step.name for step in steps_of(prepared.folder, prepared.config)] == ["rehearsal", "encoder", "compare"]
    folder = prepare_run(new_folder(), make_job(tmp_path / "drawn", has_renderer=True)).folder
    config = read_run(folder).config
    steps = {step.name: step.command for step in steps_of(folder, config)}
    assert list(steps) == ["rehearsal", "encoder", "decoder", "compare"]
    assert "--portraits" in steps["rehearsal"]
    assert steps["compare"][steps["compare"].index("--after") + 1] == str(folder / "decoder" / "weights")
    original = steps_of(folder, jobs.replace(config, original=tmp_path / "faces"))[2].command
    assert "--data.faces" in original and "--data.images" not in original
    left = jobs.replace(config, plan=jobs.replace(config.plan, refit=0))
    assert [step.name for step in steps_of(folder, left)] == ["rehearsal", "encoder", "compare"]
    make_portraits(rehearsal.portraits_folder(), ("ines", "moss"))
    base = find_bundle(config.base)
    shutil.copytree(base, folder / "encoder" / "weights")
    train_emb2rig_multichar.main(steps["decoder"][3:])
    made, before = load_bundle(runner.weights_of(folder)), load_bundle(base)
    assert runner.weights_of(folder).parent.name == "decoder" and made.neural_renderer is not None
    assert not torch.equal(made.decoder.out.bias, before.decoder.out.bias)
    assert torch.equal(made.encoder.embed.weight, before.encoder.embed.weight)


def test_portraits_of_the_cast_are_drawn_once(monkeypatch):
    monkeypatch.setattr(render_portraits, "builtin_avatars", lambda: ["ines"])
    folder = rehearsal.render_cast()
    assert read_portraits(folder).names == ("ines",) and read_portraits(folder).regions.any()
    monkeypatch.setattr(rehearsal, "render_portraits", None)
    assert rehearsal.render_cast() == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_settings_survive_their_file(prepared):
    read = read_run(prepared.folder).config
    assert read.plan == prepared.config.plan and read.train.is_file() and read.images.is_dir()
    assert json.loads((prepared.folder / "config.json").read_text())["base_id"] == read.base_id != ""
