import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

from freeavatar.errors import InputError, WeightsError
from freeavatar.models import EncoderConfig
from freeavatar.networks import Encoder, make_backbone
from training.data import images
from training.data.images import crop_size, list_images, open_images
from training.data.starting_weights import BACKBONE, load_backbone
from training.engine.metrics import read_metrics
from training.engine.stage import EngineConfig
from training.objectives.masked import MaskedAutoencoder, MaskedConfig
from training.pretrain import PRESETS, PretrainConfig, masked_loss, open_pool, pretrain

ENCODER = EncoderConfig("vit_tiny_patch16_224", 32, feature_size=16, patch_size=8)
MASKED = MaskedConfig(decoder_size=16, decoder_depth=1, decoder_heads=2)


def jpeg(seed: int, shape=(144, 144)) -> bytes:
    image = cv2.resize(np.random.default_rng(seed).integers(0, 255, (9, 9), np.uint8), shape[::-1])
    return cv2.imencode(".jpg", image)[1].tobytes()


@pytest.fixture
def sources(tmp_path) -> dict[str, Path]:
    """Three images in a folder, one of them deeper; two in a zip; two rows of renders."""
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for k, name in enumerate(["b.jpg", "a.png", "more/c.jpg"]):
        (tmp_path / "photos" / name).write_bytes(jpeg(k))
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for name in ("x.jpg", "y.jpg", "notes.txt"):
            archive.writestr(name, jpeg(10))
    (tmp_path / "renders").mkdir()
    np.save(tmp_path / "renders" / "crops.npy", np.full((2, 144, 144), 7, np.uint8))
    return {name: tmp_path / name for name in ("photos", "faces.zip", "renders")}


def config_of(images, out: Path, **more) -> PretrainConfig:
    engine = EngineConfig(out, **{"steps": 2, "batch": 4, "log_every": 1, "precision": "fp32", **more})
    return PretrainConfig(tuple(images), engine, ENCODER, MASKED)


def batch_of(count=3, patches=16):
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(count, patches, generator=generator).argsort(1)
    return {"views": torch.rand(count, 1, 32, 32, generator=generator), "order": order}


def test_images_of_folders_zips_and_arrays_are_one_pool(sources, tmp_path):
    ids = list_images(sources.values())
    assert [name.removeprefix(str(tmp_path)) for name in ids] == [
        "/photos/a.png", "/photos/b.jpg", "/photos/more/c.jpg", "/faces.zip::x.jpg", "/faces.zip::y.jpg",
        "/renders/crops.npy::0", "/renders/crops.npy::1",
    ]  # fmt: skip
    pool = open_images(ids, cache=tmp_path / "cache")
    crops = pool.gather(np.arange(7))
    assert crops.shape == (7, 144, 144) and crops.dtype == np.uint8 and (crops[5:] == 7).all()
    expected = cv2.imread(str(sources["photos"] / "b.jpg"), cv2.IMREAD_GRAYSCALE)
    assert np.abs(crops[1].astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(pool.gather(np.array([3, 0])), crops[[3, 0]])
    large = open_images(ids[4:], cache=tmp_path / "cache", size=288)
    assert large.gather(np.array([2])).shape == (1, 288, 288)


def test_what_was_decoded_is_found_on_another_machine(sources, tmp_path, monkeypatch):
    open_images(list_images(sources.values()), cache=tmp_path / "cache", size=32)
    (tmp_path / "there").mkdir()
    for name in (*sources, "cache"):
        copy = shutil.copytree if (tmp_path / name).is_dir() else shutil.copyfile
        copy(tmp_path / name, tmp_path / "there" / name)
    decoded = []
    monkeypatch.setattr(images, "_decode_into", lambda path, files, *_: decoded.append(files) or np.zeros(0, bool))
    there = [tmp_path / "there" / name for name in sources]
    assert len(open_images(list_images(there), cache=tmp_path / "there" / "cache", size=32)) == 7 and not decoded
    (there[0] / "b.jpg").write_bytes(jpeg(99))
    monkeypatch.undo()
    before = len(list((tmp_path / "there" / "cache").iterdir()))
    open_images(list_images(there), cache=tmp_path / "there" / "cache", size=32)
    assert len(list((tmp_path / "there" / "cache").iterdir())) > before, "another picture of that name is decoded"


def test_images_are_decoded_once(sources, tmp_path):
    ids = list_images([sources["photos"]])
    open_images(ids, cache=tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert len(open_images(ids, cache=tmp_path / "cache")) == 3
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == before
    assert len(open_images(ids[:1], cache=tmp_path / "cache")) == 1


def test_views_are_never_finer_than_their_crops():
    assert [crop_size(view) for view in (32, 112, 120, 128, 224)] == [144, 144, 144, 144, 288]


def test_faces_of_photos_are_found_and_photos_without_one_left_out(actor_frames, tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), actor_frames[0][..., ::-1])
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 300, 3), 90, np.uint8))
    ids = list_images([tmp_path])
    pool = open_images(ids, cache=tmp_path / "cache", is_aligned=False)
    assert [Path(name).name for name in pool.ids] == ["face.png"]
    assert pool.gather(np.array([0])).std() > 20
    with pytest.raises(InputError, match="300 x 200: aligned crops are square; use --align"):
        open_images(ids[1:], cache=tmp_path / "cache")
    with pytest.raises(InputError, match="none of the 1 images shows a face"):
        open_images(ids[1:], cache=tmp_path / "cache", is_aligned=False)


def test_missing_and_empty_sources_are_told_in_words(sources, tmp_path):
    cache = tmp_path / "cache"
    (tmp_path / "empty").mkdir()
    for source, message in ((tmp_path / "empty", "holds no image"), (tmp_path / "gone", "does not exist")):
        with pytest.raises(InputError, match=message):
            list_images([source])
    for name, message in (
        (str(tmp_path / "gone.jpg"), "gone.jpg cannot be read"),
        (f"{sources['faces.zip']}::gone.jpg", "has no image 'gone.jpg'"),
        (f"{sources['renders']}/crops.npy::9", "has no row '9'"),
        (f"{tmp_path}/gone.zip::x.jpg", "not a readable zip"),
    ):
        with pytest.raises(InputError, match=message):
            open_images([name], cache=cache)


def test_images_of_the_val_split_are_left_out(sources, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,split\nx.jpg,val\ny.jpg,train\n")
    config = config_of([sources["faces.zip"]], tmp_path / "run")
    pool = open_pool(PretrainConfig(config.images, config.engine, ENCODER, MASKED, labels=labels))
    assert [name.rpartition("::")[2] for name in pool.ids] == ["y.jpg"]


def test_hidden_patches_do_not_reach_the_encoder():
    model, batch = MaskedAutoencoder(ENCODER, MASKED).eval(), batch_of()
    _, before = model.reconstruct(batch["views"], batch["order"])
    is_hidden = torch.ones(3, 16).scatter(1, batch["order"][:, :4], 0.0).view(3, 1, 4, 4)
    is_hidden = is_hidden.repeat_interleave(8, 2).repeat_interleave(8, 3).bool()
    # A patch with its values in another order keeps the mean and the deviation that pictures are given back.
    changed = torch.where(is_hidden, batch["views"].unflatten(2, (4, 8)).flip(3).flatten(2, 3), batch["views"])
    _, after = model.reconstruct(changed, batch["order"])
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    seen, whole = model.reconstruct(batch["views"], batch["order"])
    assert (seen[is_hidden] == 0.5).all() and is_hidden.float().mean() == 0.75
    torch.testing.assert_close(whole[~is_hidden], batch["views"][~is_hidden])


def test_the_loss_is_the_error_on_hidden_patches_of_normalised_pixels():
    model, batch = MaskedAutoencoder(ENCODER, MASKED), batch_of()
    torch.nn.init.zeros_(model.predict.weight)
    torch.nn.init.zeros_(model.predict.bias)
    assert masked_loss(model, batch)["pixels"].item() == pytest.approx(63 / 64, abs=1e-3)


def test_every_parameter_gets_a_gradient():
    model = MaskedAutoencoder(ENCODER, MASKED)
    masked_loss(model, batch_of())["pixels"].backward()
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    assert not [n for n, p in trained if p.grad is None or not p.grad.abs().sum() > 0]


def test_the_places_of_patches_are_not_learned(sources, tmp_path):
    weights = pretrain(config_of(sources.values(), tmp_path / "run", steps=4, rate=1e-2))
    begun = MaskedAutoencoder(ENCODER, MASKED).backbone.pos_embed
    torch.testing.assert_close(load_file(weights / BACKBONE)["pos_embed"], begun.detach(), rtol=0, atol=0)


def test_the_loss_falls_and_pictures_and_weights_are_written(sources, tmp_path):
    weights = pretrain(config_of(sources.values(), tmp_path / "run", steps=20, rate=1e-3))
    lines = read_metrics(tmp_path / "run")
    assert np.mean([line["pixels"] for line in lines[-4:]]) < 0.95 * lines[0]["pixels"]
    picture = cv2.imread(str(next((tmp_path / "run" / "pictures").iterdir())))
    assert picture.shape == (3 * 32, 4 * 32, 3)
    assert json.loads((weights / "config.json").read_text())["encoder"]["patch_size"] == 8


def test_masked_pre_training_learns_in_bf16(sources, tmp_path):
    pretrain(config_of(sources.values(), tmp_path / "run", steps=20, rate=1e-3, precision="bf16"))
    lines = read_metrics(tmp_path / "run")
    assert np.mean([line["pixels"] for line in lines[-4:]]) < 0.95 * lines[0]["pixels"]


def test_weights_carry_the_names_of_timm_and_fill_the_encoder(sources, tmp_path):
    pretrain(config_of(sources.values(), tmp_path / "run"))
    state = load_file(tmp_path / "run" / "weights" / "backbone.safetensors")
    timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, num_classes=0).load_state_dict(state)
    encoder = Encoder(ENCODER)
    load_backbone(encoder.backbone, tmp_path / "run")
    torch.testing.assert_close(encoder.backbone.blocks[3].attn.qkv.weight, state["blocks.3.attn.qkv.weight"])


def test_public_checkpoints_are_resampled_and_lose_their_decoder(tmp_path):
    public = timm.create_model("vit_tiny_patch16_224", num_classes=0).state_dict()
    extra = {"decoder_pos_embed": torch.zeros(1), "mask_token": torch.zeros(1), "head.weight": torch.zeros(1)}
    torch.save({"model": {**public, **extra}}, tmp_path / "mae.pth")
    backbone = make_backbone(ENCODER)
    load_backbone(backbone, tmp_path / "mae.pth")
    torch.testing.assert_close(backbone.blocks[0].mlp.fc1.weight, public["blocks.0.mlp.fc1.weight"])
    assert backbone(torch.rand(1, 3, 32, 32)).shape == (1, 17, 192)


def test_weights_of_another_architecture_are_refused_in_words(tmp_path):
    torch.save(timm.create_model("vit_small_patch16_224", num_classes=0).state_dict(), tmp_path / "small.pth")
    with pytest.raises(WeightsError, match="another architecture"):
        load_backbone(make_backbone(ENCODER), tmp_path / "small.pth")
    with pytest.raises(WeightsError, match="another architecture"):
        load_backbone(Encoder(EncoderConfig(image_size=32)).backbone, tmp_path / "small.pth")
    with pytest.raises(WeightsError, match="holds no backbone"):
        load_backbone(make_backbone(ENCODER), tmp_path)


def test_the_base_preset_is_the_recipe_of_the_paper():
    config = PRESETS["vit_base_224"][1]
    engine = config.engine
    assert (engine.epochs, engine.warmup, engine.weight_decay, engine.betas) == (400, 40 / 400, 0.05, (0.9, 0.95))
    assert (engine.rate, engine.rate_images, config.masked.share) == (1.5e-4, 256, 0.75)
