"""Work that outlasts a click: started, watched and stopped by its id."""

import logging
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

from freeavatar.errors import FreeAvatarError, InputError
from webapp.common.words import say, translated

_LOG = logging.getLogger(__name__)
_KEPT = 64
_UNWATCHED = 60.0
"""Seconds after which a job nobody asks for any more is stopped."""

Words = Callable[[str], str]
"""A sentence in the language that is given."""
Steps = Generator[tuple[float | None, Words], None, dict[str, Any]]
"""Yields the share done in [0, 1], or None where that is unknown, and a sentence."""


def words(key: str, **values: object) -> Words:
    """A sentence of the page's words."""
    return lambda language: say(language, key, **values)


@dataclass
class Job:
    """One piece of work."""

    id: str = field(default_factory=lambda: uuid4().hex)
    state: str = "waiting"
    """waiting, running, done, failed or stopped."""
    share: float | None = None
    words: Words = field(default_factory=lambda: words("explore.waiting"))
    result: dict[str, Any] = field(default_factory=dict)
    is_unwanted: bool = False
    watched: float = field(default_factory=time.monotonic)

    def report(self, language: str) -> dict[str, Any]:
        """What the page shows."""
        return {"state": self.state, "share": self.share, "words": self.words(language), "result": self.result}


class Jobs:
    """Runs jobs in the background, one at a time in each lane.

    Args:
        on_end: called in the worker's thread after each job, to close what belongs to the thread.
    """

    def __init__(self, on_end: Callable[[], None] = lambda: None) -> None:
        self._on_end = on_end
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, lane: str, steps: Steps) -> str:
        """Queue a job; its id."""
        job = Job()
        with self._lock:
            self._jobs[job.id] = job
            for old in list(self._jobs)[:-_KEPT]:
                del self._jobs[old]
            worker = self._lanes.setdefault(lane, ThreadPoolExecutor(1, thread_name_prefix=f"explore-{lane}"))
        worker.submit(self._run, job, steps)
        return job.id

    def _run(self, job: Job, steps: Steps) -> None:
        job.state = "running"
        try:
            while not self._is_unwanted(job):
                job.share, job.words = next(steps)
            job.state, job.words = "stopped", words("explore.stopped")
        except StopIteration as stop:
            job.state, job.words, job.result = "done", lambda _: "", stop.value
        except FreeAvatarError as error:
            job.state, job.words = "failed", partial(translated, error)
        except Exception as error:
            _LOG.exception("a job of the Explore tab failed")
            job.state, job.words = "failed", words("explore.failed", error=error)
        finally:
            steps.close()
            self._on_end()

    @staticmethod
    def _is_unwanted(job: Job) -> bool:
        return job.is_unwanted or time.monotonic() - job.watched > _UNWATCHED

    def watch(self, job: str, language: str) -> dict[str, Any]:
        """How far a job is, in a language.

        Raises:
            InputError: there is no such job.
        """
        found = self._find(job)
        found.watched = time.monotonic()
        return found.report(language)

    def stop(self, job: str) -> None:
        """Stop a job; one that is over stays as it is."""
        self._find(job).is_unwanted = True

    def _find(self, job: str) -> Job:
        found = self._jobs.get(job)
        if found is None:
            raise InputError("this work is not known any more: start it again.")
        return found
