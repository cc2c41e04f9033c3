import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from freeavatar.avatars import load_avatar
from freeavatar.errors import InputError, WeightsError
from freeavatar.models import DecoderConfig, EncoderConfig, load_bundle, load_identity
from freeavatar.models.bundle import complete_bundle
from freeavatar.networks import (
    Bundle,
    Encoder,
    Identity,
    NeuralRenderer,
    NeuralRendererConfig,
    RigDecoder,
    save_bundle,
    save_identity,
)
from freeavatar.pipeline.acting import identity_of
from freeavatar.rig import ARKIT
from training.add_avatar import AddConfig, teach

CHEAP = {"steps": 4, "pictures": 16, "faces": 16, "batch": 4}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    renderer = NeuralRenderer(NeuralRendererConfig(hidden_size=24, plan_size=4))
    torch.nn.init.normal_(renderer.out.weight, std=0.05)
    decoder = RigDecoder(DecoderConfig(16, hidden_size=24))
    torch.nn.init.normal_(decoder.film.weight, std=0.1)
    encoder = Encoder(EncoderConfig(image_size=112, feature_size=16))
    return save_bundle(tmp_path_factory.mktemp("bundle"), Bundle(encoder, decoder, {}, renderer))


def test_a_new_character_is_taught_and_the_others_stay_as_they_are(bundle, tmp_path, caplog):
    shutil.copy(load_avatar("pip").path, tmp_path / "robin.glb")
    complete_bundle(bundle)
    before = identity_of(load_avatar("ines"), load_bundle(bundle)).code
    with caplog.at_level("INFO"):
        path = teach(AddConfig(str(tmp_path / "robin.glb"), bundle=str(bundle), **CHEAP))
    told = [record.message for record in caplog.records if record.message.startswith("robin")]
    assert "zero-shot" in told[0] and "learned" in told[-1]
    loaded, robin = load_bundle(bundle), load_avatar("robin")
    assert path.parent == robin.path.parent
    learned = identity_of(robin, loaded)
    assert np.abs(learned.drive - robin.drive).max() > 0
    assert np.abs(learned.code).sum() > 0
    np.testing.assert_array_equal(identity_of(load_avatar("ines"), loaded).code, before)


def test_what_was_learned_belongs_to_one_bundle_and_one_set_of_controls(tmp_path):
    identity, path = Identity(("grin",), torch.rand(1, len(ARKIT))), tmp_path / "x.identity.safetensors"
    assert load_identity(path, ("grin",), "abc", "glb") is None
    save_identity(path, identity, "abc", "glb")
    found = load_identity(path, ("grin",), "abc", "glb")
    assert found is not None and np.array_equal(found.drive, identity.drive.detach())
    assert (
        load_identity(path, ("grin",), "other", "glb") is None and load_identity(path, ("wink",), "abc", "glb") is None
    )
    path.write_bytes(b"nothing")
    assert load_identity(path, ("grin",), "abc", "glb") is None


def test_who_is_built_in_cannot_be_taught_again(bundle):
    with pytest.raises(InputError, match="ines is built in"):
        teach(AddConfig("ines"))


def test_a_bundle_without_a_neural_renderer_cannot_be_taught(tmp_path):
    bundle = Bundle(Encoder(EncoderConfig(image_size=32, feature_size=16)), RigDecoder(DecoderConfig(16)))
    folder = save_bundle(tmp_path / "plain", bundle)
    with pytest.raises(WeightsError, match="no neural renderer"):
        teach(AddConfig("ines", bundle=str(folder), **CHEAP))
