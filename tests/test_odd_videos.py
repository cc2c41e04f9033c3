"""The inputs of ``benchmarks.odd_videos`` that are refused before anything is loaded."""

import pytest

from benchmarks.odd_videos import ODD
from freeavatar.errors import VideoError
from freeavatar.pipeline.sources import open_source


@pytest.mark.parametrize("name", ["text", "empty", "bytes", "sound", "wav"])
def test_what_is_no_video_is_refused_in_the_words_expected(name, tmp_path):
    path = tmp_path / f"{name}.mp4"
    ODD[name].make(path, [])
    with pytest.raises(VideoError, match=ODD[name].expected):
        open_source(path)


def test_half_of_a_file_still_opens(actor_frames, tmp_path):
    ODD["half"].make(tmp_path / "half.mp4", actor_frames)
    assert 0 < len(list(open_source(tmp_path / "half.mp4"))) < len(actor_frames)
