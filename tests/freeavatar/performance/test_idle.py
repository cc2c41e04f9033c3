"""An avatar that nobody drives."""

import numpy as np

from freeavatar.performance.idle import idle
from freeavatar.rig import ARKIT


def test_it_blinks_now_and_then_and_sways_without_jerks():
    times = np.arange(0, 40, 1 / 30)
    weights, heads = (np.array(part) for part in zip(*map(idle, times), strict=True))
    lids = weights[:, ARKIT.index("eyeBlinkLeft")]
    blinks = int((np.diff((lids > 0.5).astype(int)) == 1).sum())
    assert 8 <= blinks <= 16 and lids.max() > 0.9 and weights.min() >= 0 and weights.max() <= 1
    assert np.abs(heads).max() < 4 and np.abs(np.diff(heads, axis=0)).max() < 0.15
    assert np.array_equal(idle(3.0)[0], idle(3.0)[0])
