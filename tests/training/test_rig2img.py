import json

import numpy as np
import pytest

from freeavatar.networks import NeuralRendererConfig, load_renderer
from tests.jobs import make_portraits
from training.data.portraits import read_portraits
from training.engine.loop import EngineConfig
from training.measure.fidelity import fidelity
from training.train_rig2img import Rig2ImgConfig, split_rows, train

NAMES = ("ines", "pip", "random_0000", "random_0001", "random_0002")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_portraits(tmp_path_factory.mktemp("drawn") / "portraits", NAMES)


def test_strangers_are_held_out_and_the_cast_is_not(folder):
    portraits = read_portraits(folder)
    rows, kept = split_rows(portraits, held_out=8)
    assert set(portraits.avatars[kept["identities"]]) == {4}, "one in two of the strangers at most"
    assert set(portraits.avatars[rows]) == {0, 1, 2, 3}
    assert not set(rows) & {*kept["rigs"], *kept["identities"]}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_gives_a_renderer_and_how_near_it_comes(folder, tmp_path, precision):
    engine = EngineConfig(tmp_path / "run", steps=2, batch=8, precision=precision)
    config = Rig2ImgConfig(folder, engine, NeuralRendererConfig(hidden_size=16, plan_size=4))
    renderer, identities = load_renderer(train(config))
    assert renderer.config == config.renderer and {"ines", "pip"} <= set(identities)
    figures = json.loads((tmp_path / "run" / "fidelity.json").read_text())
    for figure in (figures["rigs"], figures["identities"]):
        assert 0 < figure["l1"] < 1 and figure["psnr"] > 0 and 0 < figure["embedding"] < 2


def test_fidelity_is_perfect_for_equal_pictures_and_tells_regions_apart():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 255, (2, 32, 32, 3), np.uint8)
    region = np.zeros((2, 32, 32), bool)
    region[:, :8, :8] = True
    same = fidelity(true, true, region)
    assert same["l1"] == 0 and same["ssim"] == pytest.approx(1) and same["psnr"] > 90
    spoilt = true.copy()
    spoilt[:, :8, :8] = 0
    figures = fidelity(spoilt, true, region)
    assert figures["region_l1"] == pytest.approx(true[:, :8, :8].mean() / 255, rel=1e-3)
    assert figures["l1"] == pytest.approx(figures["region_l1"] / 16, rel=1e-3)
    assert figures["region_ssim"] < 0.5 < figures["ssim"]
