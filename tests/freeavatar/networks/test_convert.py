"""Graphs give what torch gives."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from freeavatar import models, networks
from freeavatar.errors import WeightsError
from freeavatar.faces import track_faces
from freeavatar.images import Frame
from freeavatar.models import DEFAULT_WEIGHTS, PORTRAIT_SIZE, DecoderConfig, EncoderConfig
from freeavatar.models.bundle import complete_bundle
from freeavatar.networks import Bundle, Encoder, RigDecoder, encode_crops, save_bundle
from tests.bundles import make_bundle

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def crops(actor_frames):
    rng = np.random.default_rng(0)
    frames = [Frame(k, k / 25, image) for k, image in enumerate(actor_frames)]
    real = [tracked.crop for tracked in track_faces(frames)]
    return [*real, *rng.integers(0, 256, (6, 144, 144, 3), np.uint8)]


@pytest.fixture(scope="module")
def shipped():
    return models.load_bundle(), networks.load_bundle()


def test_the_weights_that_ship_have_their_graphs():
    assert complete_bundle(DEFAULT_WEIGHTS) == []
    assert sum(path.stat().st_size for path in DEFAULT_WEIGHTS.glob("*.onnx")) < 2e5


def test_the_encoder_gives_what_torch_gives(shipped, crops):
    ours, reference = shipped[0].encoder.encode(crops), encode_crops(shipped[1].encoder, crops, CPU)
    assert np.abs(ours[0] - reference[0]).max() < 1e-4 * reference[0].std()
    np.testing.assert_allclose(ours[1], reference[1], atol=1e-4)


@torch.inference_mode()
def test_the_decoder_gives_what_torch_gives(shipped, crops):
    features = shipped[0].encoder.encode(crops)[0]
    for code in np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32):
        reference = shipped[1].decoder(torch.from_numpy(features), torch.from_numpy(code)[None])
        np.testing.assert_allclose(shipped[0].decoder.decode(features, code), reference, atol=1e-4)


@torch.inference_mode()
def test_the_identity_encoder_gives_what_torch_gives(shipped):
    rng = np.random.default_rng(0)
    for portrait in rng.integers(0, 256, (3, PORTRAIT_SIZE, PORTRAIT_SIZE, 3), np.uint8):
        images = torch.from_numpy(portrait).permute(2, 0, 1)[None].float() / 255
        reference = shipped[1].neural_renderer.identity(images).code[0]
        np.testing.assert_allclose(shipped[0].identity_encoder.encode(portrait), reference, atol=1e-4)


def test_a_vision_transformer_converts_as_well(tmp_path, crops):
    torch.manual_seed(0)
    config = EncoderConfig("vit_tiny_patch16_224", 32, 16)
    folder = save_bundle(tmp_path, Bundle(Encoder(config), RigDecoder(DecoderConfig(16))))
    assert [path.name for path in complete_bundle(folder)] == ["encoder.onnx", "decoder.onnx"]
    ours = models.load_encoder(folder).encode(crops)
    for found, reference in zip(ours, encode_crops(networks.load_encoder(folder), crops, CPU), strict=True):
        np.testing.assert_allclose(found, reference, atol=1e-4)


def test_weights_of_single_precision_convert_as_well(tmp_path, crops):
    whole = make_bundle(tmp_path / "half")
    complete_bundle(whole)
    full = shutil.copytree(whole, tmp_path / "full")
    for part in ("encoder", "decoder"):
        state = load_file(full / f"{part}.safetensors")
        save_file({name: v.astype(np.float32) for name, v in state.items()}, full / f"{part}.safetensors")
    complete_bundle(full)
    one, other = (models.load_encoder(folder).encode(crops) for folder in (whole, full))
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)


def test_weights_of_another_type_are_refused_by_name(tmp_path):
    folder = make_bundle(tmp_path)
    state = load_file(folder / "decoder.safetensors")
    save_file({name: v.astype(np.float64) for name, v in state.items()}, folder / "decoder.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit its config.json \(.* is float64\)"):
        complete_bundle(folder)


def test_a_batch_gives_what_single_crops_give(shipped, crops):
    together = shipped[0].encoder.encode(crops)[1]
    alone = np.concatenate([shipped[0].encoder.encode([crop])[1] for crop in crops])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_view_is_that_of_torch():
    rng = np.random.default_rng(0)
    for side, size in ((144, 144), (144, 112), (160, 32), (72, 144)):
        images = rng.integers(0, 256, (2, side, side, 3), np.uint8)
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        reference = networks.to_luma(networks.view_of_crops(pixels, size))
        np.testing.assert_allclose(models.encoder.views_of_crops(images, size), reference, atol=2e-5)


def test_weights_that_do_not_fit_are_refused_in_words(tmp_path):
    whole = make_bundle(tmp_path / "whole", has_renderer=True)
    config = json.loads((whole / "config.json").read_text())
    for part, change, message in (
        ("encoder", {"encoder": {**config["encoder"], "backbone": "nothing"}}, "is damaged"),
        ("encoder", {"encoder": {"depth": 3}}, "is damaged"),
        ("decoder", {"decoder": {**config["decoder"], "controls": ["jawOpen"]}}, "does not fit its config.json"),
        ("renderer", {"renderer": {"identity": {}}}, "is damaged"),
    ):
        folder = shutil.copytree(whole, tmp_path / f"{part}{message[:4]}{len(str(change))}")
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        for other in {"encoder", "decoder", "renderer"} - {part}:
            (folder / f"{other}.safetensors").unlink()
        with pytest.raises(WeightsError, match=message):
            complete_bundle(folder)
    cut = whole / "decoder.safetensors"
    cut.write_bytes(cut.read_bytes()[:-50])
    with pytest.raises(WeightsError, match=r"decoder\.safetensors is damaged"):
        complete_bundle(whole)
