import numpy as np
import pytest

from freeavatar.rig import ARKIT, mirrored


def test_arkit_has_52_distinct_names():
    assert len(set(ARKIT)) == 52


def test_mirroring_twice_changes_nothing():
    index = mirrored(ARKIT)
    assert [index[k] for k in index] == list(range(52))


def test_mirroring_swaps_the_sides_and_keeps_the_middle():
    weights = np.zeros(52)
    weights[ARKIT.index("mouthSmileLeft")] = 1
    weights[ARKIT.index("jawOpen")] = 0.5
    turned = weights[mirrored(ARKIT)]
    assert turned[ARKIT.index("mouthSmileRight")] == 1
    assert turned[ARKIT.index("mouthSmileLeft")] == 0
    assert turned[ARKIT.index("jawOpen")] == 0.5


def test_a_side_without_its_twin_is_refused():
    with pytest.raises(ValueError):
        mirrored(("winkLeft",))
