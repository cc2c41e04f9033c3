"""Brows and lashes as parts: they keep to the skin that moves below them."""

from dataclasses import replace

import numpy as np
import pytest

from freeavatar.avatars.glb import vertex_normals
from tests.tools.test_baking_strands import EYE_RADIUS, HEAD
from tools.baking.brows import skin_under
from tools.baking.growth import grow
from tools.baking.part import Finish, Part, make_part
from tools.baking.recipes import CAST

SPHERES = {"l": (HEAD.eyes[0], EYE_RADIUS), "r": (HEAD.eyes[1], EYE_RADIUS)}


def moving_skin() -> Part:
    """The test's head with two targets: a frown that pulls the brows down and forward, and a closing of the lids."""
    p = HEAD.positions
    near = np.exp(-(((np.abs(p[:, 0]) - 0.02) / 0.02) ** 2) - ((p[:, 1] - 0.02) / 0.014) ** 2) * (p[:, 2] > -0.03)
    frown = near[:, None] * [0.0, -0.009, 0.003]
    angle = np.radians(30) * np.exp(-(((p[:, 1] - 0.006) / 0.004) ** 2)) * (p[:, 2] > 0)
    eyes = HEAD.eyes[(p[:, 0] < 0).astype(int)]
    y, z = (p - eyes)[:, 1], (p - eyes)[:, 2]
    turned = np.stack([0 * y, np.cos(angle) * y - np.sin(angle) * z - y, np.sin(angle) * y + np.cos(angle) * z - z], 1)
    return make_part("skin", Finish("skin"), p, p[:, :2], HEAD.triangles, np.stack([frown, turned]))


SKIN = moving_skin()
BROWS, LASHES = grow(HEAD, replace(CAST["ines"], hair=None, beard=None), SKIN, SPHERES)


@pytest.mark.parametrize("weight", (0.0, 0.5, 1.0))
def test_hairs_of_a_brow_stay_in_front_of_the_skin_while_it_frowns(weight: float) -> None:
    moved = SKIN.positions + weight * SKIN.offsets[0]
    head = replace(HEAD, positions=moved, normals=vertex_normals(moved, SKIN.triangles, SKIN.merge))
    hairs = BROWS.positions + weight * BROWS.offsets[0]
    below = skin_under(head, hairs[:, :2])
    height = ((hairs - below.of(head.positions)) * below.of(head.normals)).sum(1)
    assert height.min() > -1.2e-4 and np.median(height) > 2e-4


def test_a_frown_lowers_a_brow_as_far_as_the_skin_below_it_and_does_not_draw_it_out() -> None:
    xy = BROWS.positions[:, :2]
    skin = skin_under(HEAD, xy).of(SKIN.offsets[0])[:, 1]
    assert BROWS.offsets[0, :, 1].mean() == pytest.approx(skin.mean(), rel=0.15)
    column = np.abs(xy[:, 0] - 0.02) < 0.002
    assert np.ptp(BROWS.offsets[0, column, 1]) < 0.6 * np.ptp(skin[column])


def test_lashes_close_with_the_lid_and_keep_their_shape() -> None:
    centres = HEAD.eyes[(LASHES.positions[:, 0] < 0).astype(int)]
    before, after = LASHES.positions - centres, LASHES.positions + LASHES.offsets[1] - centres
    moves = np.abs(LASHES.offsets[1]).max(1) > 1e-4
    assert moves.any() and (LASHES.offsets[1, moves, 1].mean()) < -0.001
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), np.linalg.norm(before, axis=1), atol=1.5e-3)


def test_brows_and_lashes_are_matte() -> None:
    assert {part.finish.roughness for part in (BROWS, LASHES)} == {1.0}
    assert LASHES.colors.max() < 0.2
