"""The shared training loop, on a model of a few numbers. Run as a module, it trains that model."""

import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from freeavatar.errors import InputError
from tests.files import ROOT
from training.engine.batches import pinned, prefetched, seed_of, shuffled
from training.engine.loop import INTERRUPTED, enter, run
from training.engine.metrics import read_metrics
from training.engine.optimizer import averaging, rate_at
from training.engine.stage import EngineConfig, Stage

DATA = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))


@dataclass(frozen=True)
class TinyConfig:
    engine: EngineConfig
    width: int = 8


def tiny_stage(config: TinyConfig, *, poison: int = -1, exported: list | None = None) -> Stage:
    """A model with dropout that learns to add; image ``poison`` is not a number."""
    torch.manual_seed(0)
    engine = config.engine
    model = nn.Sequential(nn.Linear(6, config.width), nn.Dropout(0.2), nn.Tanh(), nn.Linear(config.width, 1))

    def index(step, part):
        return shuffled(len(DATA), (step * engine.parts + part) * engine.batch, engine.batch, seed=engine.seed)

    def draw(step, part):
        chosen = index(step, part)
        values = DATA[chosen]
        values[torch.from_numpy(chosen == poison)] = math.nan
        return {"values": values}

    def loss(model, batch):
        return {"error": (model(batch["values"])[:, 0] - batch["values"].sum(1)).square().mean()}

    return Stage(
        model, draw, lambda step, part: [f"image {k}" for k in index(step, part)], loss,
        lambda model, info: None if exported is None else exported.append((model, info)), total=len(DATA),
    )  # fmt: skip


def config_of(out: Path, **more) -> TinyConfig:
    settings = {"steps": 12, "batch": 4, "log_every": 1, "rate": 0.01, "save_minutes": 0.0, "precision": "fp32"}
    return TinyConfig(EngineConfig(out, **{**settings, **more}))


def curve(out: Path) -> np.ndarray:
    lines = read_metrics(out)
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return np.array([line["error"] for line in lines])


def train(config: TinyConfig, **more) -> np.ndarray:
    run(tiny_stage(config), config.engine, config, **more)
    return curve(config.engine.out)


def test_the_loss_falls(tmp_path):
    losses = train(config_of(tmp_path, steps=150, batch=16, rate=0.03, save_minutes=9.0))
    assert losses[-20:].mean() < 0.3 * losses[:5].mean()


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = train(config_of(tmp_path / "whole"))
    command = [sys.executable, "-m", "tests.training.test_engine", str(tmp_path / "parts"), "kill"]
    assert subprocess.run(command, cwd=ROOT).returncode == -signal.SIGKILL
    assert len(read_metrics(tmp_path / "parts")) == 5
    np.testing.assert_allclose(train(config_of(tmp_path / "parts")), whole, rtol=1e-5)


def test_lines_written_after_the_last_checkpoint_are_written_anew(tmp_path):
    whole = train(config_of(tmp_path / "whole"))
    config = config_of(tmp_path / "parts")

    def stop(step):
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=stop)
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "error": 1.0}\n{"step": 9, "err')
    np.testing.assert_allclose(train(config), whole, rtol=1e-5)


def test_sigterm_saves_and_returns(tmp_path):
    whole = train(config_of(tmp_path / "whole"))
    config = config_of(tmp_path / "parts", save_minutes=9.0)
    half = train(config, on_step=lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 4 else None)
    assert len(half) == 4
    np.testing.assert_allclose(train(config), whole, rtol=1e-5)


def test_a_stage_that_was_ended_does_not_exit_as_if_it_were_done(tmp_path):
    before, config = signal.getsignal(signal.SIGTERM), config_of(tmp_path / "run", save_minutes=9.0)
    kill = {4: lambda: os.kill(os.getpid(), signal.SIGTERM)}
    try:
        with pytest.raises(SystemExit) as ended:
            enter(lambda: train(config, on_step=lambda step: kill.get(step, int)()))
        assert ended.value.code == INTERRUPTED == 143 and len(curve(tmp_path / "run")) == 4
        enter(lambda: train(config))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(curve(tmp_path / "run")) > 4


def test_a_run_may_go_on_with_other_workers_and_minutes_and_in_another_place(tmp_path):
    config = config_of(tmp_path / "run", steps=0, minutes=0.001)
    train(config)
    (tmp_path / "run").rename(tmp_path / "moved")
    before = len(curve(tmp_path / "moved"))
    longer = replace(config.engine, out=tmp_path / "moved", minutes=0.003, workers=3, device="auto", log_every=1)
    train(replace(config, engine=longer))
    assert len(curve(tmp_path / "moved")) > before
    with pytest.raises(InputError, match="other settings"):
        train(replace(config, engine=replace(longer, rate=0.5)))


def test_looking_seldom_changes_no_number_and_keeps_no_bad_step(tmp_path):
    """A GPU is asked for its losses now and then; what was wrong since is found, named and not kept."""
    whole = train(config_of(tmp_path / "one"))
    np.testing.assert_array_equal(train(config_of(tmp_path / "few", look_every=5)), whole)
    config = config_of(tmp_path / "bad", look_every=4, log_every=50)
    bad = next(step for step in range(4, 12) if 7 in shuffled(len(DATA), 4 * step, 4, seed=0))
    with pytest.raises(FloatingPointError, match=rf"not finite at step {bad}.*image 7\b"):
        run(tiny_stage(config, poison=7), config.engine, config)
    state = torch.load(tmp_path / "bad" / "checkpoint.pt", weights_only=True)
    assert state["step"] == bad // 4 * 4 and all(values.isfinite().all() for values in state["model"].values())


def test_batches_drawn_in_processes_are_those_drawn_in_threads(tmp_path):
    draw = tiny_stage(config_of(tmp_path)).draw
    drawn = []
    for make in (lambda places: prefetched(draw, places, workers=2), in_processes(draw)):
        batches = make((step, part) for step in count() for part in range(2))
        drawn.append([next(batches) for _ in range(7)])
        batches.close()
    for one, other in zip(*drawn, strict=True):
        assert one[:2] == other[:2] and torch.equal(one[2]["values"], other[2]["values"])


def in_processes(draw):
    return lambda places: pinned(draw, places, workers=2)


def test_what_is_called_is_what_is_compiled(tmp_path, monkeypatch):
    """Losses call parts of their model, which a compiled model alone would not see."""
    calls = []

    def compiled(call, **_):
        return lambda *given, **named: calls.append(1) or call(*given, **named)

    monkeypatch.setattr(torch, "compile", compiled)
    config = config_of(tmp_path, steps=3, is_compiled=True)
    run(tiny_stage(config), config.engine, config)
    assert len(calls) == 3


def test_two_processes_equal_one(tmp_path):
    one = train(config_of(tmp_path / "one", parts=2))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "tests.training.test_engine", str(tmp_path / "two"), "parts"]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    np.testing.assert_allclose(curve(tmp_path / "two"), one, rtol=1e-5)


def test_parts_of_a_step_equal_one_large_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(nn, "Dropout", lambda share: nn.Identity())
    whole = train(config_of(tmp_path / "whole", batch=8))
    np.testing.assert_allclose(train(config_of(tmp_path / "parts", batch=4, parts=2)), whole, rtol=1e-5)


def test_a_loss_that_is_not_finite_stops_with_the_images_named_and_leaves_the_checkpoint(tmp_path):
    config = config_of(tmp_path)
    poison = int(shuffled(len(DATA), 5 * 4, 4, seed=0)[2])
    with pytest.raises(FloatingPointError, match=rf"step 5 .*image {poison}\b"):
        run(tiny_stage(config, poison=poison), config.engine, config)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 5 and all(values.isfinite().all() for values in state["model"].values())


def test_a_checkpoint_of_another_architecture_is_refused_in_words(tmp_path):
    config = config_of(tmp_path, steps=1)
    train(config)
    with pytest.raises(InputError, match="no checkpoint of this architecture"):
        run(tiny_stage(replace(config, width=9)), config.engine, config)
    with pytest.raises(InputError, match="other settings"):
        train(replace(config, width=9))


def test_the_average_of_the_weights_is_what_is_handed_on(tmp_path):
    exported: list = []
    config = config_of(tmp_path, steps=3, save_minutes=9.0)
    stage = tiny_stage(config, exported=exported)
    run(stage, config.engine, config)
    ((model, info),) = exported
    assert info["steps"] == 3 and not model.training
    assert not torch.equal(model[0].weight, stage.model[0].weight)


def test_the_average_by_hand():
    averages, values = [torch.tensor([1.0])], [torch.tensor([2.0])]
    averaging(0.9)(averages, values, 0)
    assert averages[0].item() == pytest.approx(1 + 0.9)
    averaging(0.9)(averages, [torch.tensor([3.0])], 10_000)
    assert averages[0].item() == pytest.approx(1.9 + 0.1 * 1.1)


def test_the_rate_rises_then_falls_along_a_cosine():
    assert rate_at(0.05, 0.1) == pytest.approx(0.5)
    assert rate_at(0.1, 0.1) == 1
    assert rate_at(0.55, 0.1) == pytest.approx(0.5)
    assert rate_at(1.0, 0.1) == 1e-3


def test_a_schedule_in_epochs_or_minutes_ends(tmp_path):
    assert len(train(config_of(tmp_path / "epochs", steps=0, epochs=2.0))) == 25
    train(config_of(tmp_path / "minutes", steps=0, minutes=0.005, save_minutes=9.0))
    assert read_metrics(tmp_path / "minutes")[-1]["minutes"] >= 0.005
    with pytest.raises(ValueError, match="no length"):
        config_of(tmp_path, steps=0)


def test_shuffled_passes_hold_every_item_once_and_do_not_depend_on_how_they_are_cut():
    whole = shuffled(7, 0, 21, seed=3)
    assert all(sorted(whole[k : k + 7]) == list(range(7)) for k in (0, 7, 14))
    np.testing.assert_array_equal(np.concatenate([shuffled(7, k, 3, seed=3) for k in range(0, 21, 3)]), whole)
    assert not np.array_equal(shuffled(7, 0, 7, seed=4), whole[:7])


def test_seeds_of_places_differ():
    assert len({seed_of(a, b) for a in range(20) for b in range(20)}) == 400


def test_batches_come_in_order_and_errors_come_through():
    def draw(step, part):
        if step == 6:
            raise InputError("the seventh is missing")
        return {"place": torch.tensor([step, part])}

    batches = prefetched(draw, ((k // 2, k % 2) for k in range(100)), workers=3)
    for k in range(12):
        step, part, batch = next(batches)
        assert (step, part) == (k // 2, k % 2) and batch["place"].tolist() == [step, part]
    with pytest.raises(InputError, match="seventh"):
        next(batches)


def test_waiting_threads_of_one_process_leave_the_cores_to_the_others():
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    printed = subprocess.run(
        [sys.executable, "-c", "import training, os; print(os.environ['OMP_WAIT_POLICY'])"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert printed.stdout.strip() == "PASSIVE"


if __name__ == "__main__":
    folder, what = Path(sys.argv[1]), sys.argv[2]
    config = config_of(folder, parts=2 if what == "parts" else 1)

    def kill(step):
        if step == 5 and what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)

    run(tiny_stage(config), config.engine, config, on_step=kill)
