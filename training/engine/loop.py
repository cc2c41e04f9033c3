"""The training loop that every stage shares.

A stage is a model, a function that draws batches and a function from a batch to named losses
(:class:`Stage`); :func:`run` does the rest: precision, accumulation, schedule, average of the weights,
checkpoints, metrics, and any number of processes::

    torchrun --standalone --nproc_per_node=2 -m -- training.pretrain ... --parts 2

A step is made of ``parts``: batches of their own, whose gradients are averaged. One process works through all
of them, several share them out, so that the same settings give the same curve on any number of processes.
A run's folder keeps config.json, metrics.jsonl (and TensorBoard's files, if it is installed), checkpoint.pt
and weights. The same command goes on from the checkpoint, exactly: SIGTERM saves one and ends with 143, as a
shell reports it.
"""

import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from itertools import count
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.files import make_folder, replacing
from training.engine.batches import Batch, pinned, prefetched, seed_of
from training.engine.metrics import Metrics
from training.engine.optimizer import averaging, parameter_groups, rate_at
from training.engine.stage import EngineConfig, Stage, device_of

logger = logging.getLogger(__name__)

MARK = "training: "
"""Starts the line that says why a stage ended; whoever watches the log looks for it."""


def run(stage: Stage, config: EngineConfig, settings: Any, *, on_step: Callable[[int], None] | None = None) -> None:
    """Train a stage to the end of its schedule, from its checkpoint if there is one.

    Args:
        stage: what to train.
        config: how.
        settings: the stage's whole configuration, a dataclass: kept as config.json.
        on_step: called after each step with the number of steps done; if it raises, the run stops without a save.

    Raises:
        InputError: the folder holds a run with other settings, or the processes do not divide the parts.
        FloatingPointError: the loss or its gradient is not finite; no checkpoint was written with it.
    """
    with _processes(device_of(config)):
        _Run(stage, config, settings).train(on_step or (lambda step: None))


@contextmanager
def _processes(device: torch.device) -> Iterator[None]:
    """Join the other processes that torchrun started, if it did."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


_FREE = ("out", "device", "workers", "minutes", "is_compiled", "save_minutes", "log_every", "look_every")
INTERRUPTED = 128 + signal.SIGTERM
"""Exit code of a stage that saved before its end: whoever takes 0 for done must not take this for it."""
_ENDED = threading.Event()


@contextmanager
def _noticing_sigterm() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, in place of ending the process."""
    _ENDED.clear()
    if threading.current_thread() is not threading.main_thread():
        yield _ENDED
        return
    before = signal.signal(signal.SIGTERM, lambda *_: _ENDED.set())
    try:
        yield _ENDED
    finally:
        signal.signal(signal.SIGTERM, before)


class _Objective(nn.Module):
    """The losses as one module, so that gradients of several processes meet in one place."""

    def __init__(self, model: nn.Module, loss: Callable[[nn.Module, Batch], dict[str, Tensor]]) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self._loss(self.model, batch)


class _Run:
    """One process's part in a run."""

    def __init__(self, stage: Stage, config: EngineConfig, settings: Any) -> None:
        self._stage, self._config = stage, config
        self._joint = distributed.is_initialized()
        self._rank = distributed.get_rank() if self._joint else 0
        self._world = distributed.get_world_size() if self._joint else 1
        if config.parts % self._world:
            raise InputError(
                "a step has {} parts, which {} processes cannot share evenly: give --parts {}, or a multiple of it.",
                config.parts,
                self._world,
                self._world,
            )
        self._device = device_of(config)
        images = config.batch * config.parts
        self._rate = config.rate * (images / config.rate_images if config.rate_images else 1)
        self._length = config.steps
        if not config.steps and not config.minutes:
            self._length = math.ceil(config.epochs * stage.total / images)
        make_folder(config.out)
        if self._rank == 0:
            _keep_settings(config.out, settings, stage.sources)
        self._average = AveragedModel(stage.model, multi_avg_fn=averaging(config.ema), use_buffers=True)
        self._average.eval()
        self._optimizer = torch.optim.AdamW(
            stage.groups(stage.model) if stage.groups else parameter_groups(stage.model, config.weight_decay),
            lr=self._rate,
            betas=config.betas,
        )
        self._step, self._spent, self._agreed = 0, 0.0, 0.0
        self._metrics = Metrics(config.out, is_writing=self._rank == 0)
        self._load()
        objective: nn.Module = _Objective(stage.model, stage.loss)
        if config.is_compiled:  # the whole of it: many a loss calls parts of its model
            objective.compile()
        if self._joint:
            objective = DistributedDataParallel(objective, find_unused_parameters=True)
        self._objective = objective
        self._look_every = config.look_every or (25 if self._device.type == "cuda" else 1)
        self._unseen: list[tuple[int, Tensor, list[dict[str, Tensor]]]] = []
        """Steps since the last look: their number, means of the losses with the gradient's norm, losses by part."""

    def train(self, on_step: Callable[[int], None]) -> None:
        """Step to the end of the schedule, or until SIGTERM."""
        first = self._step
        mine = range(self._rank, self._config.parts, self._world)
        places = ((step, part) for step in count(first) for part in mine)
        batches = self._batches(places)
        saved = time.monotonic()
        self._stage.model.train()
        with _noticing_sigterm() as ending:
            try:
                while not self._is_over(ending):
                    self._advance(batches, len(mine))
                    if self._step % self._look_every == 0:
                        self._look()
                        if time.monotonic() - saved >= 60 * self._config.save_minutes:
                            self._save()
                            saved = time.monotonic()
                    on_step(self._step)
                self._look()
                self._save()
            finally:
                batches.close()
                self._metrics.close()

    def _batches(self, places: Iterator[tuple[int, int]]) -> Any:
        """Batches made ahead of time: for a GPU in processes, as they are drawn, for the CPU in threads, prepared."""
        stage, workers = self._stage, self._config.workers
        if self._device.type == "cuda":
            return pinned(stage.draw, places, workers=workers)
        return prefetched(lambda step, part: stage.prepare(stage.draw(step, part)), places, workers=workers)

    def _progress(self) -> float:
        """Part of the schedule that is done, in [0, 1], as all processes see it."""
        return self._step / self._length if self._length else self._agreed / (60 * self._config.minutes)

    def _is_over(self, ending: threading.Event) -> bool:
        """Whether the schedule is done, or any process was asked to end; they ask each other at every look."""
        if self._step % self._look_every:
            return bool(self._length) and self._progress() >= 1
        state = [float(ending.is_set()), self._spent]
        if self._joint:
            joint = torch.tensor(state, dtype=torch.float64, device=self._device)
            distributed.all_reduce(joint, distributed.ReduceOp.MAX)
            state = joint.tolist()
        self._agreed = self._spent = state[1]
        return bool(state[0]) or self._progress() >= 1

    def _advance(self, batches: Iterator[tuple[int, int, Batch]], parts_here: int) -> None:
        """Take one step."""
        started = time.monotonic()
        rate = self._rate * rate_at(self._progress(), self._config.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self._optimizer.zero_grad(set_to_none=True)
        parts = [self._backward(*next(batches), is_last=k == parts_here - 1) for k in range(parts_here)]
        losses = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        norm = nn.utils.clip_grad_norm_(self._stage.model.parameters(), self._config.clip)
        values = torch.stack([*losses.values(), norm.detach()])
        if self._joint:
            distributed.all_reduce(values)
            values /= self._world
        self._unseen.append((self._step, values, parts))
        if self._look_every == 1:
            self._look()  # before the step is taken
        self._optimizer.step()
        self._average.update_parameters(self._stage.model)
        self._step += 1
        self._spent += time.monotonic() - started
        if self._step % self._config.log_every == 0:
            self._look()
            self._metrics.write(self._step, self._spent / 60, rate)
        self._report()

    def _look(self) -> None:
        """Take the numbers of the steps since the last look from the device, once for all.

        Raises:
            FloatingPointError: one of them is not finite.
        """
        if not self._unseen:
            return
        table = torch.stack([values for _, values, _ in self._unseen]).tolist()
        for (step, _, parts), numbers in zip(self._unseen, table, strict=True):
            if not all(map(math.isfinite, numbers)):
                self._refuse(step, parts, range(self._rank, self._config.parts, self._world))
            self._metrics.add(dict(zip(parts[0], numbers[:-1], strict=True)))
        self._unseen.clear()

    def _backward(self, step: int, part: int, batch: Batch, *, is_last: bool) -> dict[str, Tensor]:
        """Add the gradient of one part, and give its losses."""
        if self._device.type == "cuda":
            moved = {name: values.to(self._device, non_blocking=True) for name, values in batch.items()}
            batch = self._stage.prepare(moved)
        elif self._device.type != "cpu":
            batch = {name: values.to(self._device) for name, values in batch.items()}
        # The model's own randomness, such as dropout, is a function of the place as well.
        torch.manual_seed(seed_of(self._config.seed, 1, step, part))
        use_bf16 = self._config.precision == "bf16" or (
            self._config.precision == "auto" and self._device.type == "cuda"
        )
        objective: Any = self._objective
        with objective.no_sync() if self._joint and not is_last else nullcontext():
            with torch.autocast(self._device.type, torch.bfloat16, enabled=use_bf16):
                losses = objective(batch)
            (torch.stack(list(losses.values())).sum() * (self._world / self._config.parts)).backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def _refuse(self, step: int, parts: list[dict[str, Tensor]], places: range) -> None:
        """Say which images gave a loss that is not finite."""
        losses = {part: {n: v.item() for n, v in values.items()} for part, values in zip(places, parts, strict=True)}
        bad = [part for part, values in losses.items() if not all(map(math.isfinite, values.values()))] or list(places)
        names = [name for part in bad for name in self._stage.names(step, part)]
        raise FloatingPointError(
            f"the loss or its gradient is not finite at step {step} ({losses[bad[0]]}); nothing since the last "
            f"checkpoint is kept. Images of the batch: {', '.join(names)}"
        )

    def _report(self) -> None:
        every = self._config.report_every
        if self._rank == 0 and self._stage.report is not None and every and self._step % every == 0:
            self._metrics.note(self._step, self._stage.report(self._average.module, self._step))

    def _save(self) -> None:
        if self._rank:
            return
        state = {
            "model": self._stage.model.state_dict(), "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(), "step": self._step, "spent": self._spent,
            "metrics": self._metrics.state(),
        }  # fmt: skip
        with replacing(self._config.out / "checkpoint.pt") as temporary:
            torch.save(state, temporary)
        self._stage.export(self._average.module, {"steps": self._step, "minutes": self._spent / 60})

    def _load(self) -> None:
        path = self._config.out / "checkpoint.pt"
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self._device, weights_only=True)
            self._stage.model.load_state_dict(state["model"])
            self._average.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, KeyError, ValueError, EOFError, OSError, UnpicklingError) as error:
            raise InputError(
                "{} is no checkpoint of this architecture ({}): choose another --out, or repeat the run's settings.",
                path,
                str(error).splitlines()[-1].strip(),
            ) from error
        self._step, self._spent = state["step"], state["spent"]
        self._agreed = self._spent
        self._metrics.restore(state["metrics"], self._step)
        logger.info("going on from step %d", self._step)


def _keep_settings(out: Path, settings: Any, sources: dict[str, str]) -> None:
    """Write config.json, or see that it is the one the run was begun with; where and how fast it runs may change."""
    path = out / "config.json"
    text = json.dumps(asdict(settings) | ({"sha256": sources} if sources else {}), default=str, indent=1)
    if path.exists() and _lasting(json.loads(path.read_text())) != _lasting(json.loads(text)):
        raise InputError("{} holds a run with other settings: choose another --out, or repeat its settings.", out)
    with replacing(path) as temporary:
        temporary.write_text(text)


def _lasting(settings: Any) -> Any:
    """Settings without those of the engine that a resumed run may change."""
    if not isinstance(settings, dict):
        return settings
    free = _FREE if "save_minutes" in settings else ()
    return {name: _lasting(value) for name, value in settings.items() if name not in free}


def enter(main: Callable[[], Any]) -> None:
    """Call a stage's main function from the command line: errors in one sentence, SIGTERM ends with INTERRUPTED."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(INTERRUPTED))
    try:
        main()
        if _ENDED.is_set():
            sys.exit(INTERRUPTED)
    except (FreeAvatarError, FloatingPointError, ValueError) as error:
        sys.exit(f"{MARK}{error}")
    except OSError as error:
        sys.exit(f"{MARK}{error.filename or 'a file'} cannot be used: {error.strerror or error}.")
