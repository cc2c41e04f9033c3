"""Rig JSON: keys, rounding, reading back and refusals."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.export import read_rig_json, write_rig_json
from freeavatar.rig import Controls


def perform(*, frames: int = 5) -> Controls:
    random = np.random.default_rng(0)
    return Controls(
        avatar="anna",
        names=("jawOpen", "翻译"),
        weights=random.random((frames, 2), np.float32),
        times=np.arange(frames) * 1001 / 30000,
        rate=Fraction(30000, 1001),
        head=random.uniform(-40, 40, (frames, 3)).astype(np.float32),
        confidence=random.random(frames, np.float32),
    )


def test_keys_and_values_are_those_of_the_performance(tmp_path: Path) -> None:
    performance = perform()
    write_rig_json(performance, tmp_path / "a.json", extra={"settings": {"gain": 1.5}, "report": ["ok"]})
    data = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert list(data) == [
        "format", "version", "avatar", "names", "rate", "settings", "report",
        "times", "weights", "head", "confidence",
    ]  # fmt: skip
    assert (data["format"], data["version"]) == ("freeavatar-performance", 1)
    assert (data["avatar"], data["names"], data["rate"]) == ("anna", ["jawOpen", "翻译"], "30000/1001")
    assert (data["settings"], data["report"]) == ({"gain": 1.5}, ["ok"])
    assert data["times"] == performance.times.tolist()
    assert data["weights"] == np.round(performance.weights.astype(float), 5).tolist()


@pytest.mark.parametrize("frames", [1, 5, 1024, 2500])
def test_round_trip(tmp_path: Path, frames: int) -> None:
    performance = perform(frames=frames)
    write_rig_json(performance, tmp_path / "a.json")
    back = read_rig_json(tmp_path / "a.json")
    assert (back.avatar, back.names, back.rate) == ("anna", performance.names, performance.rate)
    assert back.weights.dtype == back.head.dtype == back.confidence.dtype == np.float32
    np.testing.assert_array_equal(back.times, performance.times)
    np.testing.assert_allclose(back.weights, performance.weights, atol=6e-6)
    np.testing.assert_allclose(back.head, performance.head, atol=1e-5)
    np.testing.assert_allclose(back.confidence, performance.confidence, atol=6e-6)


def test_a_failed_export_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(InputError, match="do not fit in JSON"):
        write_rig_json(perform(), path, extra={"report": object()})
    with pytest.raises(InputError, match="may not be named weights"):
        write_rig_json(perform(), path, extra={"weights": 1})
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*: choose a file in a folder that exists"):
        write_rig_json(perform(), tmp_path / "none" / "a.json")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"times": np.zeros(5)}, "must increase from zero"),
        ({"times": np.arange(5) - 1.0}, "must increase from zero"),
        ({"head": np.full((5, 3), np.nan, np.float32)}, "not a finite number"),
    ],
)
def test_an_impossible_performance_is_refused(tmp_path: Path, changes: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        write_rig_json(replace(perform(), **changes), tmp_path / "a.json")


def test_a_performance_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no frames"):
        write_rig_json(perform(frames=0), tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", 'is not a "freeavatar-performance" file of version 1'),
        ('{"format": "freeavatar-performance", "version": 2}', "of version 1"),
        ('{"format": "freeavatar-performance", "version": 1}', "is damaged"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=reason):
        read_rig_json(tmp_path / "a.json")


def test_arrays_of_different_lengths_are_refused(tmp_path: Path) -> None:
    write_rig_json(perform(), tmp_path / "a.json")
    data = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    data["head"].pop()
    (tmp_path / "a.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="arrays differ in length"):
        read_rig_json(tmp_path / "a.json")
