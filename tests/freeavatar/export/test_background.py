"""What is behind an avatar: alpha that fits any background, colours beyond the edges, a folder of frames."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from freeavatar.avatars import load_avatar
from freeavatar.export import SINKS, Moment, Output
from freeavatar.export.background import extend_colors, put_over, read_background
from freeavatar.render import Look, Renderer
from tests.heads import HeadFile


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return load_avatar(HeadFile().save(tmp_path_factory.mktemp("heads") / "egg.glb"))


def test_a_picture_with_alpha_is_before_any_background_what_is_drawn_there(head):
    renderer, rest = Renderer(head), np.zeros(52, np.float32)
    picture = renderer.picture(rest, look=Look((96, 96), background=None))
    rim = (picture[..., 3] > 0) & (picture[..., 3] < 255)
    assert rim.sum() > 50
    for text, colors in (("#ffffff", (1.0,) * 3), ("#000000", (0.0,) * 3), ("#204060", (32 / 255, 64 / 255, 96 / 255))):
        drawn = renderer.picture(rest, look=Look((96, 96), background=(colors, colors)))
        off = put_over(picture, read_background(text, 96)).astype(int) - drawn
        assert np.abs(off).max() <= 1
    off = put_over(picture, read_background(None, 96)).astype(int) - renderer.picture(rest, look=Look((96, 96)))
    assert np.abs(off).max() <= 1


def test_colours_go_on_beyond_the_edge_and_what_is_seen_stays():
    picture = np.zeros((64, 96, 4), np.uint8)
    picture[20:40, 30:60] = (200, 100, 50, 255)
    picture[40, 30:60] = (200, 100, 50, 64)
    found = extend_colors(picture)
    np.testing.assert_array_equal(found[..., 3], picture[..., 3])
    np.testing.assert_allclose(found[..., :3], np.broadcast_to((200, 100, 50), (64, 96, 3)), atol=1)
    np.testing.assert_array_equal(found[20:41, 30:60], picture[20:41, 30:60])
    assert not extend_colors(np.zeros((8, 8, 4), np.uint8)).any()


def test_a_picture_is_scaled_to_fill_and_cut_in_the_middle(tmp_path):
    image = np.zeros((50, 300, 3), np.uint8)
    image[:, 125:175] = (1, 2, 250)
    cv2.imwrite(str(tmp_path / "wide.png"), image)
    found = read_background(str(tmp_path / "wide.png"), 100)
    assert found.shape == (100, 100, 3)
    np.testing.assert_array_equal(found[:, 5:95], np.broadcast_to((250, 2, 1), (100, 90, 3)))


def frames(head, folder, count, *, fails=False):
    output = Output(head, folder, Fraction(25), (8, 8), has_alpha=True)
    with SINKS["frames"](output) as sink:
        for k in range(count):
            picture = np.full((8, 8, 4), (250, 20, 30, 10 * k), np.uint8)
            sink.write(Moment(k / 25, np.zeros(52), np.zeros(3), 1.0, np.zeros(52), picture))
        if fails:
            raise KeyboardInterrupt


def test_frames_replace_older_frames_alone(head, tmp_path):
    folder = tmp_path / "clip.avatar"
    frames(head, folder, 3)
    (folder / "notes.txt").touch()
    frames(head, folder, 2)
    assert {path.name for path in folder.iterdir()} == {"000001.png", "000002.png", "notes.txt"}
    found = cv2.imread(str(folder / "000002.png"), cv2.IMREAD_UNCHANGED)
    assert found[0, 0].tolist() == [30, 20, 250, 10]
    with pytest.raises(KeyboardInterrupt):
        frames(head, folder, 1, fails=True)
    assert len(list(folder.iterdir())) == 3 and [path.name for path in tmp_path.iterdir()] == ["clip.avatar"]
