"""The time a run will take, measured before it starts."""

from tests.jobs import PLAN, make_job
from training.jobs.estimate import estimate_minutes, seconds_per_image
from training.jobs.job import replace


def test_more_steps_take_longer_and_processes_share_them(tmp_path):
    job = make_job(tmp_path)
    assert seconds_per_image(tmp_path / "base", True) > 0
    plan = replace(PLAN, backbone_rate=1e-5)
    short, long = (estimate_minutes(replace(job, plan=replace(plan, steps=steps))) for steps in (10, 10_000))
    shared = estimate_minutes(replace(job, plan=replace(plan, steps=10_000), processes=2))
    assert short < shared < long


def test_a_frozen_backbone_takes_no_time_for_views_encoded_before(tmp_path):
    job = make_job(tmp_path)
    frozen, trained = (
        estimate_minutes(replace(job, plan=replace(PLAN, steps=10_000, batch=256, backbone_rate=rate)))
        for rate in (0.0, 1e-5)
    )
    assert frozen < trained / 4


def test_faces_that_are_rendered_already_take_no_time(tmp_path):
    job = make_job(tmp_path)
    more = replace(job, plan=replace(PLAN, rehearsal=5000))
    assert estimate_minutes(more) - estimate_minutes(job) > 4


def test_refitting_the_decoder_takes_time_where_there_is_a_renderer(tmp_path):
    plain, drawn = make_job(tmp_path / "a"), make_job(tmp_path / "b", has_renderer=True)
    more = replace(PLAN, refit=20_000)
    assert estimate_minutes(replace(drawn, plan=more)) > estimate_minutes(drawn) + 20
    assert abs(estimate_minutes(replace(plain, plan=more)) - estimate_minutes(plain)) < 1
