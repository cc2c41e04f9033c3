import json
from dataclasses import replace

import pytest
import torch

from freeavatar.errors import WeightsError
from freeavatar.models import DecoderConfig, EncoderConfig
from freeavatar.networks import Bundle, Encoder, Identity, RigDecoder, load_bundle, save_bundle, view_of_crops
from freeavatar.rig import ARKIT


@pytest.fixture(scope="module")
def tiny() -> Bundle:
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(image_size=32, feature_size=24)).eval()
    decoder = RigDecoder(DecoderConfig(24, ARKIT, 4, 24)).eval()
    torch.nn.init.normal_(decoder.film.weight)
    return Bundle(
        encoder, decoder, {"note": "x"}, identities={"pip": Identity(("happy",), torch.rand(1, 52), code_size=4)}
    )


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("has_cells", [True, False])
def test_encoders_share_one_interface(backbone, has_cells):
    encoder = Encoder(EncoderConfig(backbone, 112, 64, has_cells=has_cells)).eval()
    feature, embedding = encoder(torch.rand(2, 3, 112, 112))
    assert feature.shape == (2, 64) and embedding.shape == (2, 16)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(2))


def test_a_batch_gives_what_single_crops_give(tiny):
    crops = torch.rand(3, 1, 32, 32)
    together = tiny.encoder(crops)[0]
    alone = torch.cat([tiny.encoder(crop[None])[0] for crop in crops])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_colour_does_not_matter_beyond_luma(tiny):
    luma = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(tiny.encoder(luma)[0], tiny.encoder(luma.expand(-1, 3, -1, -1))[0], rtol=1e-3, atol=1e-4)


def test_the_view_is_the_middle_of_the_crop():
    crops = torch.zeros(1, 1, 144, 144)
    crops[:, :, 20:140, 12:132] = 1
    assert view_of_crops(crops, 112).min() > 0.99
    assert view_of_crops(torch.ones(1, 1, 144, 144) - crops, 112).max() < 0.51


def test_rig_weights_lie_between_0_and_1(tiny):
    rigs = tiny.decoder(torch.randn(5, 24) * 10, torch.randn(5, 4))
    assert rigs.shape == (5, 52) and rigs.min() >= 0 and rigs.max() <= 1


def test_the_identity_code_changes_the_rig_and_none_is_that_of_nobody(tiny):
    feature = torch.randn(1, 24)
    assert not torch.allclose(tiny.decoder(feature), tiny.decoder(feature, torch.ones(1, 4)))
    torch.testing.assert_close(tiny.decoder(feature), tiny.decoder(feature, torch.zeros(1, 4)))


def test_bundles_round_trip_in_half_precision(tiny, tmp_path):
    save_bundle(tmp_path, tiny)
    loaded = load_bundle(tmp_path)
    crops = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(loaded.encoder(crops)[0], tiny.encoder(crops)[0], rtol=2e-2, atol=2e-2)
    assert loaded.decoder.config == tiny.decoder.config and loaded.info == {"note": "x"}
    assert not any(p.requires_grad for p in loaded.encoder.parameters())
    assert loaded.identities["pip"].names == ("happy",) and loaded.neural_renderer is None
    torch.testing.assert_close(loaded.identities["pip"].drive, tiny.identities["pip"].drive, rtol=1e-2, atol=1e-3)


def test_bundles_from_before_the_encoder_looked_at_cells_give_what_they_gave(tiny, tmp_path):
    encoder = Encoder(EncoderConfig(image_size=32, feature_size=24, has_cells=False)).eval()
    save_bundle(tmp_path, replace(tiny, encoder=encoder))
    config = json.loads((tmp_path / "config.json").read_text())
    del config["encoder"]["has_cells"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    crops = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(load_bundle(tmp_path).encoder(crops)[0], encoder(crops)[0], rtol=2e-2, atol=2e-2)


def test_weights_that_do_not_fit_are_refused_in_words(tiny, tmp_path):
    with pytest.raises(WeightsError, match="holds no weights"):
        load_bundle(tmp_path)
    save_bundle(tmp_path, tiny)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, message in (
        ({"format": 99}, "expected 2"),
        ({"encoder": {**config["encoder"], "feature_size": 12}}, "take both from one bundle"),
        ({"decoder": {**config["decoder"], "controls": ["jawOpen"]}}, "does not fit"),
        ({"decoder": {**config["decoder"], "controls": ["wink"]}}, "expected ARKit's blendshapes alone"),
        ({"decoder": {**config["decoder"], "controls": []}}, "is damaged"),
        ({"encoder": {**config["encoder"], "backbone": "nothing"}}, "is damaged"),
        ({"encoder": {"depth": 3}}, "is damaged"),
        ({"identities": {"moss": ["ears"]}}, "lacks moss"),
        ({"renderer": {"identity": {}}}, "is damaged"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(WeightsError, match=message):
            load_bundle(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="is damaged"):
        load_bundle(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "encoder.safetensors").unlink()
    with pytest.raises(WeightsError, match="does not exist"):
        load_bundle(tmp_path)
