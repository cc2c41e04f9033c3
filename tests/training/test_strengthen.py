"""Strength: what a channel knows is raised to the truth's spread, what it does not know is left alone."""

import numpy as np
import pytest
import torch

from freeavatar.errors import InputError
from freeavatar.networks import load_bundle
from freeavatar.rig import ARKIT, mirrored
from tests.bundles import make_bundle
from training.renders.faces import RenderConfig, render_faces
from training.strengthen import StrengthenConfig, fit_gains, fold, strengthen


@pytest.fixture(scope="module")
def renders(identities, tmp_path_factory):
    folder = tmp_path_factory.mktemp("renders")
    render_faces(RenderConfig(identities, folder, count=12))
    return folder


def answers_and_truth():
    rng = np.random.default_rng(0)
    truth = np.clip(rng.normal(0.3, 0.2, (2000, len(ARKIT))), 0, 1)
    answers = 0.3 + 0.5 * (truth - 0.3)
    blind = ARKIT.index("jawForward")
    answers[:, blind] = rng.normal(0.3, 0.05, 2000)
    return answers, truth, blind


def test_gains_give_answers_the_spread_of_the_truth_where_they_know_it():
    answers, truth, blind = answers_and_truth()
    gains = fit_gains(answers, truth)
    spread = np.clip(gains * answers, 0, 1).std(0) / truth.std(0)
    known = np.arange(len(ARKIT)) != blind
    assert np.allclose(spread[known], 1, atol=0.05)
    assert gains[blind] == 1


def test_gains_are_the_same_on_both_sides_and_bounded():
    answers, truth, _ = answers_and_truth()
    gains = fit_gains(answers * np.linspace(0.1, 1, len(ARKIT)), truth)
    assert np.array_equal(gains, gains[mirrored(ARKIT)])
    assert gains.min() >= 1 and gains.max() <= 2.5


def test_folded_gains_multiply_what_the_decoder_answers(tmp_path):
    decoder = load_bundle(make_bundle(tmp_path)).decoder
    feature, gains = torch.randn(5, decoder.config.feature_size), np.linspace(1, 2, len(ARKIT))
    before = decoder.unbounded(feature)
    fold(decoder, gains)
    assert torch.allclose(decoder.unbounded(feature), before * torch.from_numpy(gains).float(), atol=1e-5)


def test_a_bundle_is_strengthened_once(renders, tmp_path):
    gains = strengthen(StrengthenConfig(make_bundle(tmp_path / "weak"), (renders,), tmp_path / "strong"))
    assert load_bundle(tmp_path / "strong").info["gains"] == gains
    with pytest.raises(InputError, match="was strengthened before"):
        strengthen(StrengthenConfig(tmp_path / "strong", (renders,), tmp_path / "stronger"))
