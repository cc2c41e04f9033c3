"""Faces in the boxes of the Facial Expression Comparison data."""

import numpy as np

from freeavatar.fec import find_face


def test_a_box_chooses_the_face(actor_frames):
    """Two actors side by side: the box decides which one is found."""
    left, right = actor_frames[0], actor_frames[9]
    both, width = np.concatenate([left, right], axis=1), left.shape[1]
    alone = find_face(right, (0, 1, 0, 1)).points
    np.testing.assert_allclose(find_face(both, (0.5, 1, 0, 1)).points - (width, 0), alone, atol=1.5)
    assert find_face(both, (0, 0.5, 0, 1)).points[:, 0].max() < width
    assert find_face(np.zeros_like(both), (0, 1, 0, 1)) is None
    assert find_face(both, (0.3, 0.301, 0.3, 0.301)) is None
