"""Bundles opened for inference: whole, or refused in words."""

import json
import shutil
import threading

import numpy as np
import pytest

from freeavatar.errors import InputError, WeightsError
from freeavatar.models import DEFAULT_WEIGHTS, graphs, load_bundle, load_encoder
from freeavatar.models.bundle import complete_bundle
from freeavatar.rig import ARKIT
from tests.bundles import ENCODER, make_bundle


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = make_bundle(tmp_path_factory.mktemp("whole"), has_renderer=True)
    complete_bundle(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bundle")


def test_arrays_go_in_and_come_out(whole):
    bundle = load_bundle(whole)
    assert bundle.encoder.config == ENCODER and bundle.info == {"seed": 0} and len(bundle.id) == 12
    crops = np.random.default_rng(0).integers(0, 256, (3, 144, 144, 3), np.uint8)
    features, embeddings = bundle.encoder.encode(list(crops))
    assert features.shape == (3, 16) and embeddings.shape == (3, 16) and features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    code = bundle.identity_encoder.encode(np.zeros((112, 112, 3), np.uint8))
    rigs = bundle.decoder.decode(100 * features, code)
    assert code.shape == (64,) and rigs.shape == (3, 52) and rigs.min() >= 0 and rigs.max() <= 1
    ines = bundle.identities["ines"]
    assert ines.names[: len(ARKIT)] == ARKIT and ines.drive.shape == (len(ines.names), 52) and ines.code.shape == (64,)


def test_threads_share_a_bundle(whole):
    bundle, found = load_bundle(whole), {}
    crops = np.random.default_rng(0).integers(0, 256, (4, 144, 144, 3), np.uint8)
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: bundle.encoder.encode(crops[k : k + 1])[0]}))
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(np.concatenate([found[k] for k in range(4)]), bundle.encoder.encode(crops)[0], atol=1e-5)


@pytest.mark.parametrize("name", ["encoder", "decoder", "identity"])
def test_a_graph_that_is_missing_is_asked_for(folder, name):
    (folder / f"{name}.onnx").unlink()
    with pytest.raises(WeightsError, match=f"{name}.onnx is missing .* by `freeavatar models convert"):
        load_bundle(folder)


@pytest.mark.parametrize("part", ["encoder", "decoder", "renderer"])
def test_weights_exchanged_under_their_graph_are_refused(folder, tmp_path, part):
    other = make_bundle(tmp_path / "other", seed=1, has_renderer=True)
    shutil.copyfile(other / f"{part}.safetensors", folder / f"{part}.safetensors")
    with pytest.raises(WeightsError, match="made from other weights: take all files from one bundle"):
        load_bundle(folder)


def test_a_graph_that_is_cut_off_is_refused(folder):
    path = folder / "encoder.onnx"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(WeightsError, match="is missing or was made from other weights"):
        load_bundle(folder)
    key = (DEFAULT_WEIGHTS / "encoder.onnx").read_bytes()[-64:]
    shutil.copytree(DEFAULT_WEIGHTS, folder / "shipped")
    (folder / "shipped" / "encoder.onnx").write_bytes(b"no graph" + key)
    with pytest.raises(WeightsError, match=r"encoder\.onnx is damaged"):
        load_encoder(folder / "shipped").encode([np.zeros((144, 144, 3), np.uint8)])


def test_a_folder_with_a_space_is_quoted_for_the_shell(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "my bundle")
    (folder / "encoder.onnx").unlink()
    with pytest.raises(WeightsError, match=f"models convert '{folder}'`"):
        load_bundle(folder)


def damaged(folder):
    """A bundle whose encoder's graph says what it was made from and is none."""
    path = folder / "encoder.onnx"
    path.write_bytes(b"no graph" + path.read_bytes()[-64:])
    return folder


def test_checking_reads_what_opening_leaves_for_later(folder):
    load_bundle(folder).check()
    opened = load_bundle(damaged(folder))
    with pytest.raises(WeightsError, match=r"encoder\.onnx is damaged .*: take the whole bundle again"):
        opened.check()


def test_a_device_that_is_none_is_not_taken_for_a_damaged_file(whole):
    for load in (load_bundle, load_encoder):
        with pytest.raises(InputError, match="there is no device 'gpu'"):
            load(whole, device="gpu")


def test_what_fails_on_a_device_is_said_of_that_device(whole, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("CUDA failure 2: out of memory\nat some line")

    monkeypatch.setattr(graphs.onnxruntime, "InferenceSession", refuse)
    monkeypatch.setattr(graphs, "providers_of", lambda device: ["CPUExecutionProvider"])
    with pytest.raises(WeightsError, match=r"does not run on cuda:1 \(CUDA failure 2: out of memory\): free memory"):
        load_bundle(whole, device="cuda:1").check()


def test_what_fails_in_running_is_said_in_a_sentence(whole):
    decoder = load_bundle(whole).decoder
    with pytest.raises(WeightsError, match=r"decoder\.onnx does not run on cpu \(.*\): free memory there"):
        decoder.decode(np.zeros((2, 5), np.float32), np.zeros(64, np.float32))


def test_a_damaged_config_is_refused_in_words(folder, tmp_path):
    with pytest.raises(WeightsError, match="holds no weights"):
        load_bundle(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    for change, message in (
        ({"format": 99}, "expected 2"),
        ({"encoder": {**config["encoder"], "feature_size": 12}}, "take both from one bundle"),
        ({"encoder": {"feature_size": 16, "depth": 3}}, "is damaged"),
        ({"decoder": {**config["decoder"], "controls": ["jawOpen"]}}, "was made from other weights"),
        ({"decoder": {**config["decoder"], "controls": ["wink"]}}, "expected ARKit's blendshapes alone"),
        ({"decoder": {**config["decoder"], "controls": []}}, "is damaged"),
        ({"renderer": {"pose_size": 64}}, "is damaged"),
        ({"identities": {"pip": ["ears"]}}, "lacks pip"),
        ({"identities": None}, "is damaged"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(WeightsError, match=message):
            load_bundle(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="is damaged"):
        load_bundle(folder)
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("encoder", "decoder", "renderer", "identities"):
        (folder / f"{name}.safetensors").rename(folder / "away")
        with pytest.raises(WeightsError, match=f"{name}.safetensors does not exist"):
            load_bundle(folder)
        (folder / "away").rename(folder / f"{name}.safetensors")


def test_default_weights_drive_arkit_and_fit_25_mb():
    bundle = load_bundle()
    assert bundle.decoder.config.controls == ARKIT
    assert sum(f.stat().st_size for f in DEFAULT_WEIGHTS.iterdir()) < 25e6
    assert (DEFAULT_WEIGHTS / "MODEL_CARD.md").is_file()
