"""Starting processes that outlive their parent, here or on a cluster."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from freeavatar.errors import InputError
from freeavatar.files import make_folder

try:
    import fcntl
except ImportError:  # Windows has no such lock; two people at once are told apart by the runs' states alone
    fcntl = None  # type: ignore[assignment]

ROOT = Path(__file__).parents[2]
"""Where ``python -m training...`` is found."""
_LONGEST = 7 * 24 * 60
"""Minutes a cluster lets a run go on, unless told otherwise."""


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for."""
    with (make_folder(folder) / ".lock").open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def started_at(pid: int) -> str | None:
    """When a process started, on the machine's own scale, which tells it from a later one of the same number; None if
    it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


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
        raise InputError(f"{cluster} did not take the run ({detail}): see its settings, or run it here.") from error
