"""Starting processes that outlive their parent, here or on a cluster."""

from pathlib import Path

import psutil
from filelock import BaseFileLock, FileLock

from freeavatar.errors import InputError
from freeavatar.files import make_folder

ROOT = Path(__file__).parents[2]
"""Where ``python -m training...`` is found."""
_LONGEST = 7 * 24 * 60
"""Minutes a cluster lets a run go on, unless asked otherwise."""


def one_at_a_time(folder: Path) -> BaseFileLock:
    """A lock on a folder that other processes wait for."""
    return FileLock(make_folder(folder) / ".lock")


def started_at(pid: int) -> float | None:
    """When a process started, seconds since 1970, which tells it from a later one of the same number; None if it is
    gone."""
    try:
        process = psutil.Process(pid)
        return None if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else process.create_time()
    except psutil.Error:
        return None


def submit(
    command: list[str], folder: Path, cluster: str, processes: int, device: str, options: dict[str, str]
) -> None:
    """Hand a command to submitit.

    Args:
        command: what to run, from :data:`ROOT`.
        folder: where submitit keeps its files.
        cluster: ``slurm`` or ``local``.
        processes: how many share the work.
        device: ``cpu``, or GPUs, one for each process.
        options: further parameters of submitit; numbers may be text.

    Raises:
        InputError: submitit is not installed, there is no such cluster, or it refused.
    """
    try:
        import submitit
    except ImportError as error:
        raise InputError("clusters need submitit: pip install submitit, or run it here.") from error
    wanted = {"timeout_min": _LONGEST, "name": "freeavatar", "cpus_per_task": max(2, processes)}
    if device.startswith("cuda"):
        wanted["gpus_per_node"] = processes
    given = {name: int(value) if value.isdecimal() else value for name, value in options.items()}
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**{**wanted, **given})
        executor.submit(submitit.helpers.CommandFunction(command, cwd=ROOT))
    except Exception as error:
        detail = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise InputError("{} did not take the run ({}): see its settings, or run it here.", cluster, detail) from error
