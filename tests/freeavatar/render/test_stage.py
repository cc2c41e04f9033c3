"""What a browser is told of an avatar."""

import json

import numpy as np
import pytest

from freeavatar.avatars import load_avatar
from freeavatar.render.camera import frame
from freeavatar.render.stage import stage_of


@pytest.mark.parametrize("name", ["ines", "moss", "pip"])
def test_an_avatar_is_described_in_json_with_all_that_moves_it(name):
    avatar = load_avatar(name)
    told = json.loads(json.dumps(stage_of(avatar)))
    assert told["controls"] == list(avatar.target_names)
    assert told["binds"].keys() == {*avatar.target_names, *(corrective.name for corrective in avatar.correctives)}
    assert all(rows and all(len(row) == 3 for row in rows) for rows in told["binds"].values())
    assert len(told["materials"]) == len(avatar.materials) and told["materials"][0]["folds"]
    assert len(told["wrinkles"]["layers"]) == len(avatar.wrinkles.layers) and 0 < told["wrinkles"]["depth"] < 0.01
    assert told["cameras"]["bust"]["extent"] == pytest.approx(frame(avatar, "bust").extent)
    for light in told["lights"]:
        assert np.linalg.norm(light["direction"]) == pytest.approx(1)
