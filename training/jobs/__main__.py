"""``python -m training.jobs``, as :mod:`training.jobs.job` describes it."""

import tyro

from training.engine.loop import enter
from training.jobs import job

if __name__ == "__main__":
    enter(lambda: job.main(tyro.cli(job.JobConfig, description=job.__doc__)))
