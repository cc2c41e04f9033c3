"""Live Link Face CSV: layout, timecode, signs and reading back."""

import csv
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.export import read_live_link_csv, write_live_link_csv
from freeavatar.export.live_link import EYE_DEGREES, timecodes
from freeavatar.rig import ARKIT, Curves

NTSC = Fraction(30000, 1001)
ROTATIONS = "HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"


def perform(*, frames: int = 70, rate: Fraction = Fraction(30)) -> Curves:
    random = np.random.default_rng(0)
    return Curves(
        weights=random.random((frames, len(ARKIT)), np.float32),
        times=np.arange(frames) / float(rate),
        rate=rate,
        head=random.uniform(-40, 40, (frames, 3)).astype(np.float32),
        confidence=np.ones(frames, np.float32),
        cuts=np.zeros(frames, bool),
    )


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_header_is_that_of_the_app(tmp_path: Path) -> None:
    write_live_link_csv(perform(), tmp_path / "a.csv")
    header = (tmp_path / "a.csv").read_text().splitlines()[0]
    titles = ",".join(name[0].upper() + name[1:] for name in ARKIT)
    assert header == f"Timecode,BlendShapeCount,{titles},{ROTATIONS}"
    assert header.startswith("Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,")
    assert len(header.split(",")) == 2 + 61


def test_each_frame_is_a_row_that_counts_61_values(tmp_path: Path) -> None:
    write_live_link_csv(perform(frames=70), tmp_path / "a.csv")
    rows = [line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines()[1:]]
    assert len(rows) == 70
    assert {(row[1], len(row)) for row in rows} == {("61", 63)}


def test_timecode_counts_sixtieths_of_the_clocks_seconds() -> None:
    assert timecodes(np.array([0, 1, 29, 30, 1799, 1800, 108000]) / 30) == [
        "00:00:00:00.000",
        "00:00:00:02.000",
        "00:00:00:58.000",
        "00:00:01:00.000",
        "00:00:59:58.000",
        "00:01:00:00.000",
        "01:00:00:00.000",
    ]
    assert timecodes(np.array([0.75, 0.9999999, 1.001])) == ["00:00:00:45.000", "00:00:01:00.000", "00:00:01:00.060"]


def test_a_clip_whose_rows_could_be_thirtieths_begins_at_31() -> None:
    assert timecodes(np.array([0, 1, 2]) / 25) == ["00:00:00:31.000", "00:00:00:33.400", "00:00:00:35.800"]
    assert timecodes(np.array([0, 0.5, 1])) == ["00:00:00:31.000", "00:00:01:01.000", "00:00:01:31.000"]
    assert timecodes(np.array([0.0, 1, 2])) == ["00:00:00:00.000", "00:00:01:00.000", "00:00:02:00.000"]


def seconds_of(path: Path, *, base: int | None = None) -> np.ndarray:
    """Where another program puts the rows: by sixtieths, or by thirtieths if no row has a part above 30."""
    stamps = np.array([[float(part) for part in row["Timecode"].split(":")] for row in table(path)])
    base = base or (60 if stamps[:, 3].max() > 30 else 30)
    seconds = stamps @ (3600, 60, 1, 1 / base)
    return seconds - seconds[0]


@pytest.mark.parametrize("rate", [Fraction(2), Fraction(24), Fraction(25), NTSC, Fraction(50), Fraction(120)])
@pytest.mark.parametrize("frames", [9, 200])
def test_other_programs_put_every_row_where_it_belongs(tmp_path: Path, rate: Fraction, frames: int) -> None:
    performance = perform(rate=rate, frames=frames)
    write_live_link_csv(performance, tmp_path / "a.csv")
    for base in (None, 60):
        np.testing.assert_allclose(seconds_of(tmp_path / "a.csv", base=base), performance.times, atol=2e-5)


def test_head_is_in_radians_with_the_signs_of_arkit(tmp_path: Path) -> None:
    performance = perform(frames=1)
    performance.head[0] = (90, 45, 30)
    write_live_link_csv(performance, tmp_path / "a.csv")
    (row,) = table(tmp_path / "a.csv")
    assert (row["HeadYaw"], row["HeadPitch"], row["HeadRoll"]) == ("1.570796", "-0.785398", "-0.523599")


def test_eyes_turn_to_the_actors_right_and_down_for_positive_values(tmp_path: Path) -> None:
    performance = perform(frames=2)
    performance.weights[:] = 0
    for name in ("eyeLookInLeft", "eyeLookOutRight", "eyeLookDownLeft"):
        performance.weights[0, ARKIT.index(name)] = 1
    for name in ("eyeLookOutLeft", "eyeLookInRight", "eyeLookUpRight"):
        performance.weights[1, ARKIT.index(name)] = 1
    write_live_link_csv(performance, tmp_path / "a.csv")
    columns = ROTATIONS.split(",")[3:]
    values = [[float(row[name]) for name in columns] for row in table(tmp_path / "a.csv")]
    full = np.radians(EYE_DEGREES)
    np.testing.assert_allclose(values, [[full, full, 0, full, 0, 0], [-full, 0, 0, -full, -full, 0]], atol=1e-6)


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(24), Fraction(25), NTSC, Fraction(60), Fraction(120)])
def test_round_trip_finds_times_and_rate(tmp_path: Path, rate: Fraction) -> None:
    performance = perform(rate=rate, frames=150)
    write_live_link_csv(performance, tmp_path / "a.csv")
    for given in (None, rate):
        back = read_live_link_csv(tmp_path / "a.csv", rate=given)
        assert back.rate == rate
        np.testing.assert_allclose(back.times, performance.times, atol=2e-5)
    assert back.weights.dtype == back.head.dtype == back.confidence.dtype == np.float32
    np.testing.assert_allclose(back.weights, performance.weights, atol=1e-6)
    np.testing.assert_allclose(back.head, performance.head, atol=1e-4)


def test_round_trip_of_a_rate_that_changes(tmp_path: Path) -> None:
    times = np.concatenate([np.arange(60) / 30, 2 + np.arange(45) / 15])
    performance = replace(perform(frames=105, rate=Fraction(45, 2)), times=times)
    write_live_link_csv(performance, tmp_path / "a.csv")
    np.testing.assert_allclose(read_live_link_csv(tmp_path / "a.csv").times, times, atol=2e-5)


def counted_by_frames(path: Path, rate: Fraction, frames: int) -> Path:
    """A file as earlier versions wrote it: the frames of the clip's rate, at the nearest whole one."""
    nominal = round(rate)
    rows = [f"00:00:{k // nominal:02}:{k % nominal:02}.000,0" for k in range(frames)]
    path.write_text("Timecode,JawOpen\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(24), Fraction(25), NTSC, Fraction(50), Fraction(60000, 1001)])
def test_files_that_count_the_clips_own_frames_are_read(tmp_path: Path, rate: Fraction) -> None:
    path = counted_by_frames(tmp_path / "a.csv", rate, 200)
    back = read_live_link_csv(path)
    assert back.rate == round(rate)
    np.testing.assert_allclose(back.times, np.arange(200) / round(rate), atol=1e-9)
    np.testing.assert_allclose(read_live_link_csv(path, rate=rate).times, np.arange(200) / float(rate), atol=1e-9)
    short = counted_by_frames(tmp_path / "b.csv", rate, 8)
    np.testing.assert_allclose(read_live_link_csv(short, rate=rate).times, np.arange(8) / float(rate), atol=1e-9)


def test_a_recording_of_the_app_at_half_the_rate_of_its_timecode_is_read(tmp_path: Path) -> None:
    times = 0.0043 + np.arange(90) / 30
    rows = [f"11:59:{58 + int(t):02}:{t % 1 * 60:06.3f},0" for t in times if t < 2]
    (tmp_path / "a.csv").write_text("Timecode,JawOpen\n" + "\n".join(rows) + "\n")
    back = read_live_link_csv(tmp_path / "a.csv")
    assert back.rate == 30
    np.testing.assert_allclose(back.times, np.arange(60) / 30, atol=2e-5)


def test_reading_ignores_case_and_order_of_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "\ufeffheadyaw,JAWOPEN,blendshapecount,eyeblinkleft,TimeCode,LeftEyeYaw,hairSway\r\n"
        "0.1,0.5,61,1.2,23:59:59:59.500,0.3,1\r\n"
        "0.2,0.25,61,0,00:00:00:00.500,0.3,1\r\n",
        encoding="utf-8",
    )
    back = read_live_link_csv(tmp_path / "a.csv")
    assert back.rate == 60
    known = [ARKIT.index("eyeBlinkLeft"), ARKIT.index("jawOpen")]
    np.testing.assert_allclose(back.weights[:, known], [[1, 0.5], [0, 0.25]])
    assert not np.delete(back.weights, known, axis=1).any()
    np.testing.assert_allclose(back.times, [0, 1 / 60], atol=1e-9)
    np.testing.assert_allclose(back.head, np.degrees([[0.1, 0, 0], [0.2, 0, 0]]), rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no column Timecode"),
        ("Timecode,BlendShapeCount\n", "no column of numbers"),
        ("Timecode,JawOpen\n", "no rows"),
        ("Timecode,JawOpen,jawopen\n", 'two columns "jawopen"'),
        ("Timecode,JawOpen\n00:00:00:00.000\n", "out of range"),
        ("Timecode,JawOpen\n00:00:00:00.000,wide\n", "wide"),
        ("Timecode,JawOpen\n00:00:00:00.000,nan\n", "a number is missing"),
        ("Timecode,JawOpen\n12 s,0\n", '"12 s" is not a timecode'),
        ("Timecode,JawOpen\n00:00:00:01.000,0\n00:00:00:01.000,0\n", "does not increase"),
    ],
)
def test_a_broken_file_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=f"a.csv is not a complete Live Link Face CSV .*{reason}"):
        read_live_link_csv(tmp_path / "a.csv")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose a file that exists"):
        read_live_link_csv(tmp_path / "none.csv")
