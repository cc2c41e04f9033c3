"""What rendered faces show: emotions, wide poses, glasses and hands."""

import numpy as np
import pytest
import torch

from freeavatar.rig import ARKIT
from training.data.emotions import PROTOTYPES, emotion_reader, emotional_rig
from training.data.rigs import draw_wide_head
from training.renders.props import Glasses, Hand, Props, draw_props, put_on

POINTS = np.array([(53, 60), (91, 60), (72, 82), (58, 104), (86, 104)], float)


@pytest.mark.parametrize("emotion", PROTOTYPES)
def test_the_reader_reads_the_emotion_a_rig_was_drawn_of(emotion):
    rng = np.random.default_rng(5)
    rigs = np.stack([emotional_rig(emotion, rng, strength=0.8) for _ in range(50)])
    assert rigs.min() >= 0 and rigs.max() <= 1
    matrix, offset = emotion_reader(tuple(PROTOTYPES))
    read = (torch.from_numpy(rigs) @ matrix + offset).argmax(1)
    assert (read == list(PROTOTYPES).index(emotion)).float().mean() > 0.9


def test_prototypes_name_blendshapes():
    names = {name for forms in PROTOTYPES.values() for form in forms for name in form}
    assert all(name in ARKIT or f"{name}Left" in ARKIT for name in names)


def test_classes_without_a_prototype_are_never_read():
    matrix, offset = emotion_reader(("anger", "contempt", "neutral"))
    assert (torch.zeros(1, 52) @ matrix + offset).argmax() == 2 and offset[1] < -1e3


def test_some_heads_turn_far():
    rng = np.random.default_rng(0)
    yaw = np.abs([draw_wide_head(rng)[0] for _ in range(400)])
    assert 45 < yaw.max() <= 60 and np.median(yaw) < 15


def test_glasses_lie_on_the_eyes_and_the_mouth_stays_free():
    face = np.full((144, 144), 180, np.uint8)
    worn = put_on(face, POINTS, 0.0, Props(Glasses(0.4, 0.3, 3, 2, 0.05, 0.5, 0.0)))
    assert worn[60, 53] < 100 and worn[60, 91] < 100
    assert (worn[95:] == 180).all()


def test_glasses_are_left_out_on_a_profile():
    face = np.full((144, 144), 180, np.uint8)
    assert np.array_equal(put_on(face, POINTS, 55.0, Props(Glasses(0.4, 0.3, 3, 2, 0.05, 0.5, 0.0))), face)


def test_a_hand_covers_the_mouth():
    face = np.full((144, 144), 180, np.uint8)
    covered = put_on(face, POINTS, 0.0, Props(hand=Hand((0.0, -0.2), 270.0, 3, 0.6)))
    assert covered[104, 72] < 150 and covered[30, 72] == 180


def test_props_are_common_but_not_the_rule():
    rng = np.random.default_rng(0)
    drawn = [draw_props(rng) for _ in range(600)]
    assert 60 < sum(p.glasses is not None for p in drawn) < 140
    assert 15 < sum(p.hand is not None for p in drawn) < 55
