"""Before and after: a difference is only told where there are answers enough to see it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeavatar.files import make_folder
from freeavatar.models import open_bundle
from tests.bundles import make_bundle
from tests.jobs import make_job
from training.measure import before_after
from training.measure.before_after import CompareConfig, compare, film_both, pair


@pytest.mark.parametrize(
    ("count", "gain", "verdict"),
    [(400, 0.2, "better"), (400, -0.2, "worse"), (1200, 0.0, "alike"), (60, 0.0, "too few"), (20, 0.9, "too few")],
)
def test_the_verdict_follows_the_interval_of_the_difference(count, gain, verdict):
    draws = (np.arange(count) * 7 % count) / count
    before, after = draws < 0.5, draws < 0.5 + gain
    if not gain:  # as many answers won as lost
        after = np.where(np.arange(count) % 5 == 0, ~before, before)
    assert pair(before, after, np.arange(count), chance=1 / 3).verdict == verdict


def test_trials_are_compared_one_by_one():
    before = np.tile([True, False], 100)
    after = before.copy()
    after[1:40:2] = True
    found = pair(before, after, np.arange(200), chance=1 / 3)
    assert found.difference.value == pytest.approx(0.1) and found.difference.low > 0.05


def test_a_bundle_compared_with_itself_shows_no_difference(tmp_path):
    job = make_job(tmp_path)
    base = tmp_path / "base"
    report = compare(
        CompareConfig(base, base, tmp_path / "out", held_out=job.held_out, images=job.images, validation=8)
    )
    assert report["held_out"]["difference"]["value"] == 0 == report["validation"]["difference"]["value"]
    assert report["rig"]["before"] == report["rig"]["after"] and report["before"] == report["after"]
    assert (tmp_path / "out" / "report.json").is_file()


def test_answers_on_pictures_that_training_never_saw_count_on_their_own(tmp_path):
    job = make_job(tmp_path)
    lines = job.train.read_text().splitlines()
    (tmp_path / "few.jsonl").write_text(lines[0])
    other = make_bundle(tmp_path / "other", seed=1)
    config = CompareConfig(
        tmp_path / "base", other, tmp_path / "out", held_out=job.held_out, images=job.images,
        train=tmp_path / "few.jsonl", validation=8,
    )  # fmt: skip
    report = compare(config)
    assert 0 < report["held_out_new"]["difference"]["count"] < report["held_out"]["difference"]["count"]
    assert compare(replace(config, train=job.held_out))["held_out_new"] is None
    assert "held_out_new" not in compare(replace(config, train=None))


def test_bundles_are_filmed_by_name_on_the_device(short_clip, tmp_path, monkeypatch):
    devices = []

    def opened(folder, *, device):
        devices.append(device)
        return open_bundle(folder)

    monkeypatch.setattr(before_after, "open_bundle", opened)
    plain = make_bundle(tmp_path / "plain")
    config = CompareConfig(Path("default"), plain, tmp_path / "out", clip=short_clip, device="cpu")
    make_folder(config.out)
    assert all((config.out / name).is_file() for name in film_both(config).values())
    assert devices == ["cpu", "cpu"]
