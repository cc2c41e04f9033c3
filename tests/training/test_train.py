import csv
import json
import shutil
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from freeavatar.avatars import load_avatar
from freeavatar.errors import InputError, WeightsError
from freeavatar.models import DecoderConfig, EncoderConfig
from freeavatar.networks import Bundle, Encoder, Identity, RigDecoder, load_bundle, save_bundle
from freeavatar.rig import ARKIT, mirrored
from training.data.augment import random_views
from training.data.drawing import draw_class_triplets, mine_triplets
from training.data.labelled_faces import RIGS, UNKNOWN, read_rigs, read_rows, scores_of
from training.data.mixture import Mixture, MixtureConfig
from training.data.rigs import INDEX, RigSampler
from training.data.triplets import MARGINS, make_triplets, write_jsonl
from training.engine.metrics import read_metrics
from training.engine.stage import EngineConfig
from training.objectives.losses import distillation_loss, emotion_loss, rig_loss, triplet_loss
from training.renders.faces import RenderConfig, render_faces
from training.renders.portraits import PortraitConfig, render_portraits
from training.train import LossConfig, Objective, TrainConfig, Trainee, groups_of, open_mixture, train

ENCODER = EncoderConfig(image_size=32, feature_size=16)
EMOTIONS = ("joy", "anger", "joy", "joy", "anger", "joy", "joy", "joy", "anger", "anger")


@pytest.fixture(scope="module")
def renders(tmp_path_factory) -> Path:
    """Eight renders of the default avatar."""
    folder = tmp_path_factory.mktemp("renders")
    (folder / "avatars").mkdir()
    path = load_avatar("ines").path
    (folder / "avatars" / path.name).write_bytes(path.read_bytes())
    render_faces(RenderConfig(folder / "avatars", folder / "out", count=8))
    return folder / "out"


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """Ten grey images with labels, four of them in the validation split."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    names = [n for n in ARKIT if n != "tongueOut"]
    lines = [",".join(["file", "split", "emotion", *names])]
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for k in range(10):
            image = rng.integers(0, 255, (144, 144), np.uint8)
            archive.writestr(f"{k}.jpg", cv2.imencode(".jpg", image)[1].tobytes())
            split = "val" if k > 5 else "train"
            lines.append(",".join([f"{k}.jpg", split, EMOTIONS[k], *(f"{v:.3f}" for v in rng.random(51))]))
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def config_of(out, renders=None, faces=None, **more):
    data = {name: more.pop(name) for name in ("triplets", "real_share", "balance") if name in more}
    rest = {
        name: more.pop(name)
        for name in ("start", "teacher", "losses", "encoder", "frozen_stages", "drop_path")
        if name in more
    }
    engine = EngineConfig(out, **{"steps": 20, "batch": 12, "log_every": 5, "save_minutes": 9.0, **more})
    mixture = MixtureConfig((renders,) if renders else (), faces, **data)
    return TrainConfig(engine, mixture, **{"encoder": ENCODER, "is_pretrained": False, **rest})


def losses_of(config, model=None):
    """Losses of the first batch, and the model they come from."""
    mixture, teacher = open_mixture(config), load_bundle(config.teacher) if config.teacher else None
    model = model or Trainee(config, len(mixture.classes), teacher)
    return Objective(mixture, config, torch.device("cpu"), teacher)(model, mixture.prepare(mixture.draw(0, 0))), model


def test_rig_loss_by_hand():
    predicted, target = torch.tensor([[0.5, 9.0]]), torch.tensor([[0.3, torch.nan]])
    deviation = torch.tensor([0.05, 1.0])
    assert rig_loss(predicted, target, deviation).item() == pytest.approx(8)


def test_triplet_loss_by_hand():
    embedding = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    good, bad = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 2, 1]])
    assert triplet_loss(embedding, good, 0.1).item() == 0
    assert triplet_loss(embedding, bad, 0.1).item() == pytest.approx(2 + 0.1 + 0 + 0.1)
    both = triplet_loss(embedding, torch.cat([bad, bad]), torch.tensor([0.1, 0.2]))
    assert both.item() == pytest.approx((2.2 + 2.4) / 2)
    assert triplet_loss(embedding, torch.empty(0, 3, dtype=torch.long), 0.1).item() == 0


def test_margins_are_those_of_fecnet():
    assert MARGINS[1:] == (0.1, 0.2, 0.2)


def test_class_triplets_hold_their_classes_and_draw_them_evenly():
    labels = torch.tensor([0] * 20 + [1] * 4 + [2] * 2 + [-1] * 6 + [3])
    triplets = draw_class_triplets(labels, 100, torch.Generator().manual_seed(0))
    a, p, n = (labels[triplets[:, k]] for k in range(3))
    assert (a == p).all() and (a != n).all() and (a >= 0).all() and (n >= 0).all()
    assert (triplets[:, 0] != triplets[:, 1]).all()
    shares = torch.bincount(a, minlength=4) / len(a)
    torch.testing.assert_close(shares, torch.tensor([1 / 3, 1 / 3, 1 / 3, 0]), rtol=0, atol=0.05)
    assert torch.bincount(n[a == 0], minlength=4)[1:].float().std() < 0.1 * len(a) / 9


@pytest.mark.parametrize("labels", [[], [-1, -1], [0, 0], [0, 1], [0, -1, 0]])
def test_labels_without_a_comparison_give_no_triplets(labels):
    assert len(draw_class_triplets(torch.tensor(labels, dtype=torch.long), 5, torch.Generator())) == 0


def test_images_without_an_emotion_do_not_count():
    told = torch.randn(3, 4, requires_grad=True)
    alone = emotion_loss(told[:1], torch.tensor([2]))
    torch.testing.assert_close(emotion_loss(told, torch.tensor([2, -1, -1])), alone)
    emotion_loss(told, torch.tensor([-1, -1, -1])).backward()
    assert (told.grad == 0).all()


def test_distillation_loss_ignores_scale_and_is_0_for_the_teacher():
    feature, embedding = torch.randn(4, 8), torch.eye(4, 16)
    assert distillation_loss(3 * feature + 1, embedding, (feature, embedding)).item() == pytest.approx(0, abs=1e-4)
    assert distillation_loss(feature, -embedding, (feature, embedding)).item() == pytest.approx(2, abs=1e-4)


def test_mined_triplets_have_a_clear_odd_one_out():
    rigs = torch.rand(30, 52)
    rigs[1::3] = rigs[::3] + 0.01
    triplets = mine_triplets(rigs, 2000, torch.Generator().manual_seed(0))
    assert len(triplets) > 10
    a, p, n = (rigs[triplets[:, k]] for k in range(3))
    near = (a - p).norm(dim=1)
    assert (near < 0.6 * (a - n).norm(dim=1)).all() and (near < 0.6 * (p - n).norm(dim=1)).all()


def test_mirrored_views_are_mirror_images_on_average():
    ramp = torch.linspace(0, 1, 144).expand(64, 1, 144, 144)
    views = random_views(ramp, 32, torch.arange(64) % 2 == 1, torch.Generator().manual_seed(0))
    slope = (views[..., 16:].mean((1, 2, 3)) - views[..., :16].mean((1, 2, 3))).view(-1, 2).mean(0)
    assert slope[0] > 0.1 and slope[1] < -0.1
    assert views.min() >= 0 and views.max() <= 1


def test_drawn_rigs_are_possible_faces():
    rng = np.random.default_rng(0)
    sampler = RigSampler(rng.random((20, 52)).astype(np.float32))
    rigs = np.stack([sampler.draw(rng) for _ in range(500)])
    assert rigs.min() >= 0 and rigs.max() <= 1
    assert (np.minimum(rigs[:, INDEX["jawLeft"]], rigs[:, INDEX["jawRight"]]) == 0).all()
    assert (rigs[:, INDEX["mouthClose"]] <= rigs[:, INDEX["jawOpen"]] + 1e-6).all()
    shows_tongue = rigs[:, INDEX["tongueOut"]] > 0
    assert shows_tongue.any() and (rigs[shows_tongue, INDEX["jawOpen"]] > 0.15).all()
    assert (rigs.max(0) > 0.5).all()


def test_rare_shapes_are_common_where_asked_and_never_impossible():
    shares = []
    for is_rare in (False, True):
        rng = np.random.default_rng(0)
        sampler = RigSampler(np.zeros((1, 52), np.float32), is_rare=is_rare)
        rigs = np.stack([sampler.draw(rng) for _ in range(500)])
        assert (np.minimum(rigs[:, INDEX["jawLeft"]], rigs[:, INDEX["jawRight"]]) == 0).all()
        shares.append((rigs[:, [INDEX[name] for name in ("cheekPuff", "tongueOut", "jawLeft")]] > 0.25).mean(0))
    assert (shares[1] > 2 * shares[0]).all() and (shares[1] > 0.08).all()


def test_renders_are_reproducible_and_labelled(renders):
    crops, rigs = np.load(renders / "crops.npy"), np.load(renders / "rigs.npy")
    assert crops.shape == (8, 144, 144) and rigs.shape == (8, 52)
    assert json.loads((renders / "avatars.json").read_text()) == ["ines"] * 8
    again = renders.parent / "again"
    render_faces(RenderConfig(renders.parent / "avatars", again, count=8))
    np.testing.assert_array_equal(np.load(again / "crops.npy"), crops)


def test_any_number_of_processes_renders_the_same(renders, tmp_path, monkeypatch):
    monkeypatch.setattr("training.renders.faces._PART", 3)
    for workers in (1, 2):
        out = tmp_path / f"faces{workers}"
        render_faces(RenderConfig(renders.parent / "avatars", out, count=8, color=True, workers=workers))
        render_portraits(PortraitConfig(tmp_path / f"portraits{workers}", each_cast=2, workers=workers))
    for name in ("faces1/crops.npy", "faces1/frames.npy", "portraits1/pictures.npy", "portraits1/weights.npy"):
        one, other = (np.load(tmp_path / path) for path in (name, name.replace("1/", "2/")))
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(np.load(tmp_path / "faces2" / "crops.npy"), np.load(renders / "crops.npy"))


def test_labels_keep_to_their_split_and_order(faces):
    rows = read_rows(faces / "labels.csv")
    assert len(rows) == 6 and len(read_rows(faces / "labels.csv", split="val")) == 4
    rigs = scores_of(rows)
    assert rigs[0, ARKIT.index("jawOpen")] == pytest.approx(float(rows[0]["jawOpen"]))
    assert (rigs[:, ARKIT.index("tongueOut")] == 0).all()
    with pytest.raises(InputError, match="a column split that says train or val"):
        read_rows(faces / "labels.csv", split="tset")
    with pytest.raises(InputError, match="does not exist"):
        read_rows(faces / "gone.csv")


def test_what_scores_do_not_carry_is_unknown_and_both_splits_are_on_one_scale(faces):
    labels, jaw = faces / "labels.csv", ARKIT.index("jawOpen")
    low, high = np.quantile(scores_of(read_rows(labels))[:, jaw], [0.1, 0.995])
    val = (scores_of(read_rows(labels, split="val"))[:, jaw] - low) / max(high - low, 0.25)
    np.testing.assert_allclose(read_rigs(labels, split="val")[:, jaw], val.clip(0, 1), atol=1e-6)
    for split in ("train", "val"):
        rigs = read_rigs(labels, split=split)
        assert np.nanmin(rigs) >= 0 and np.nanmax(rigs) <= 1
        np.testing.assert_array_equal(np.isnan(rigs), np.broadcast_to(np.isin(ARKIT, UNKNOWN), rigs.shape))
        left, right = (rigs[:, ARKIT.index(f"browDown{side}")] for side in ("Left", "Right"))
        np.testing.assert_array_equal(left, right)


def test_rigs_beside_the_table_are_those_of_its_rows(faces, tmp_path):
    labels = tmp_path / "labels.csv"
    shutil.copy(faces / "labels.csv", labels)
    rigs = np.random.default_rng(0).random((10, 52)).astype(np.float16)
    np.save(tmp_path / RIGS, rigs)
    both = {split: read_rigs(labels, split=split) for split in ("train", "val")}
    splits = np.array([row["split"] for row in csv.DictReader(labels.open(newline=""))])
    for split, found in both.items():
        np.testing.assert_array_equal(found, rigs[splits == split].astype(np.float32))
    np.save(tmp_path / RIGS, rigs[:9])
    with pytest.raises(InputError, match=r"rigs\.npy has 9 rigs.*10 rows"):
        read_rigs(labels)


@pytest.fixture
def listed(faces, renders, tmp_path) -> Path:
    """Two triplets of real faces and renders."""
    rows = [(f"{faces}/images.zip::{k}.jpg", f"{renders}/crops.npy::{k}", f"{renders}/crops.npy::5") for k in range(2)]
    return write_jsonl(make_triplets(rows, [1, 3]), tmp_path / "listed.jsonl")


def test_batches_hold_their_shares_and_follow_from_their_place(faces, renders, listed, tmp_path):
    config = config_of(tmp_path, renders, faces, triplets=(listed,))
    mixture = open_mixture(config)
    assert mixture.counts == (4, 5, 3)
    batch, again = mixture.draw(3, 0), open_mixture(config).draw(3, 0)
    assert batch["crops"].shape == (12, 1, 144, 144) and batch["crops"].dtype == torch.uint8
    views = mixture.prepare(batch)
    assert views["views"].shape == (12, 1, 32, 32) and views["rigs"].shape == (9, 52) and "crops" not in views
    assert batch["by_list"].tolist() == [[9, 10, 11]]
    assert batch["margins"][0].item() in (pytest.approx(0.1), pytest.approx(0.2))
    assert all(torch.equal(batch[name].nan_to_num(), again[name].nan_to_num()) for name in batch)
    assert not torch.equal(views["views"], mixture.prepare(mixture.draw(4, 0))["views"])
    names = mixture.names(3, 0)
    assert len(names) == 12 and names[0].startswith(str(faces)) and names[-1].endswith("crops.npy::5")


def test_mirrored_images_have_mirrored_rigs(renders, tmp_path):
    mixture = open_mixture(config_of(tmp_path, renders, batch=64))
    batch, rigs = mixture.draw(0, 0), torch.from_numpy(np.load(renders / "rigs.npy"))
    rows = [int(name.rpartition("::")[2]) for name in mixture.names(0, 0)]
    straight = (batch["rigs"] == rigs[rows]).all(1)
    swapped = (batch["rigs"] == rigs[rows][:, mirrored(ARKIT)]).all(1)
    assert (straight | swapped).all() and 0 < (straight & ~swapped).sum() < (~(straight & swapped)).sum()


def test_listed_triplets_are_mirrored_as_a_whole(tmp_path):
    ramps = np.broadcast_to(np.linspace(0, 255, 144).astype(np.uint8), (3, 144, 144))
    np.save(tmp_path / "crops.npy", ramps)
    rows = [tuple(f"{tmp_path}/crops.npy::{k}" for k in range(3))]
    listed = write_jsonl(make_triplets(rows, [2]), tmp_path / "listed.jsonl")
    mixture = open_mixture(config_of(tmp_path, triplets=(listed,), batch=60))
    views = mixture.prepare(mixture.draw(0, 0))["views"]
    rises = (views[..., 16:].mean((1, 2, 3)) > views[..., :16].mean((1, 2, 3))).view(20, 3)
    assert (rises.all(1) | (~rises).all(1)).all() and rises.any() and not rises.all()


def test_rare_emotions_are_drawn_more_often_than_they_come(faces, tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.mixture.RAREST", 1)
    shares = []
    for balance in (0.0, 1.0):
        mixture = open_mixture(config_of(tmp_path, faces=faces, balance=balance, batch=600))
        assert mixture.classes == ("anger", "joy")
        shares.append((mixture.draw(0, 0)["emotions"] == 0).float().mean().item())
    assert shares == [pytest.approx(2 / 6, abs=0.07), pytest.approx(1 / 2, abs=0.07)]


def test_a_source_that_gets_no_image_of_a_batch_is_told(renders, faces, tmp_path):
    with pytest.raises(InputError, match="give a larger --batch"):
        open_mixture(config_of(tmp_path, renders, faces, batch=4))


def test_what_is_unknown_of_real_faces_has_no_gradient(faces, tmp_path):
    config = config_of(tmp_path, faces=faces)
    model = Trainee(config)
    predicted = torch.rand(12, 52, requires_grad=True)
    model.forward = lambda views, count: (torch.rand(12, 16), torch.eye(12, 16), predicted, None)
    losses_of(config, model)[0]["silver"].backward()
    assert (predicted.grad[:, ARKIT.index("cheekPuff")] == 0).all()
    assert (predicted.grad[:, ARKIT.index("jawOpen")] != 0).all()


def test_blocks_with_a_shortcut_are_passed_over_in_training_alone(renders, tmp_path):
    backbone = Trainee(config_of(tmp_path, renders, drop_path=0.9)).eval().encoder.backbone
    blocks = [block for stage in backbone.blocks for block in stage]
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for block in blocks]
    assert [rate > 0 for rate in rates] == [block.has_skip for block in blocks]
    assert max(rates) == pytest.approx(0.9) and np.all(np.diff([rate for rate in rates if rate]) > 0)
    views = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(backbone(views), backbone(views))
    with pytest.raises(ValueError, match=r"drop_path is 1\.5"):
        config_of(tmp_path, renders, drop_path=1.5)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """A bundle with random weights."""
    torch.manual_seed(1)
    encoder = Encoder(EncoderConfig(image_size=64, feature_size=24))
    decoder = RigDecoder(DecoderConfig(24))
    known = {"pip": Identity(("happy",), torch.rand(1, 52))}
    return save_bundle(tmp_path_factory.mktemp("teacher"), Bundle(encoder, decoder, identities=known))


@pytest.mark.parametrize("encoder", ["tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_every_parameter_gets_a_gradient(encoder, renders, faces, listed, teacher, tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.mixture.RAREST", 1)
    config = config_of(
        tmp_path, renders, faces, triplets=(listed,), teacher=teacher, batch=48,
        losses=LossConfig(distillation=1.0, rig_emotion=0.1), encoder=EncoderConfig(encoder, 32, 16),
    )  # fmt: skip
    losses, model = losses_of(config)
    assert set(losses) == {name.name for name in fields(LossConfig)} - {"embedding_share"}
    torch.stack(list(losses.values())).sum().backward()
    trained = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert not [n for n, grad in trained.items() if grad is None or not grad.abs().sum() > 0]
    assert {n for n, _ in model.named_parameters()} - set(trained) == {"decoder.film.weight"}


def test_a_weight_of_0_turns_a_loss_off_and_missing_sources_give_none(renders, faces, tmp_path):
    config = config_of(tmp_path, renders, faces, losses=LossConfig(rig=0.0, emotion=0.0))
    assert set(losses_of(config)[0]) == {"rig_triplets", "silver"}
    assert set(losses_of(config_of(tmp_path, renders))[0]) == {"rig_triplets", "rig"}
    with pytest.raises(ValueError, match="nobody to distil from"):
        config_of(tmp_path, renders, losses=LossConfig(distillation=1.0))


def test_the_loss_falls_and_the_weights_load(renders, tmp_path):
    weights = train(config_of(tmp_path, renders, steps=40, batch=8))
    lines = read_metrics(tmp_path)
    assert lines[-1]["rig"] < 0.9 * lines[0]["rig"]
    assert load_bundle(weights).info["steps"] == 40


@pytest.mark.parametrize("encoder", [EncoderConfig(image_size=32, feature_size=16), None])
def test_losses_compare_in_full_precision_under_bf16(renders, faces, encoder, tmp_path):
    more = {} if encoder is None else {"encoder": encoder}
    config = config_of(tmp_path, renders, faces, steps=2, precision="bf16", **more)
    model, seen = Trainee(config), []
    with torch.autocast("cpu", torch.bfloat16):
        seen += model(torch.rand(4, 1, 32, 32), 4)[1:3]
    assert [value.dtype for value in seen] == [torch.float32] * 2
    torch.testing.assert_close(seen[0].norm(dim=1), torch.ones(4), atol=1e-6, rtol=0)
    train(config)
    assert all(np.isfinite(value) for line in read_metrics(tmp_path) for value in line.values())


def test_a_run_reports_the_accuracy_on_people_it_does_not_see(faces, tmp_path):
    train(config_of(tmp_path, faces=faces, steps=2, report_every=2))
    assert 0 <= read_metrics(tmp_path)[-1]["val_triplet_accuracy"] <= 1


def test_a_run_can_start_from_a_bundle(renders, teacher, tmp_path):
    config = config_of(tmp_path, renders, start=teacher, encoder=load_bundle(teacher).encoder.config)
    model = Trainee(config)
    torch.testing.assert_close(model.encoder.project.weight, load_bundle(teacher).encoder.project.weight)
    assert model.encoder.project.weight.requires_grad
    assert load_bundle(train(replace(config, engine=replace(config.engine, steps=1)))).identities["pip"].names == (
        "happy",
    )
    with pytest.raises(WeightsError, match="another architecture"):
        Trainee(config_of(tmp_path, renders, start=teacher))


def test_frozen_stages_keep_weights_and_statistics(renders, teacher, tmp_path):
    start = load_bundle(teacher).encoder
    config = config_of(tmp_path, renders, start=teacher, encoder=start.config, steps=2, frozen_stages=2)
    before, after = start.backbone.state_dict(), load_bundle(train(config)).encoder.backbone.state_dict()
    frozen = tuple(f"{name}." for name in ("conv_stem", "bn1", "blocks.0", "blocks.1"))
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert not [name for name in moved if name.startswith(frozen)]
    assert {"blocks.2.0.conv_pw.weight", "blocks.2.0.bn1.running_mean"} <= moved
    with pytest.raises(ValueError, match="no stages to freeze"):
        config_of(tmp_path, renders, frozen_stages=1, encoder=EncoderConfig("vit_tiny_patch16_224", 32, 16))


def test_a_vit_learns_faster_at_its_top_and_each_parameter_once(renders, tmp_path):
    config = config_of(tmp_path, renders, encoder=EncoderConfig("vit_tiny_patch16_224", 32, 16))
    model = Trainee(config)
    groups = groups_of(config, model)
    trained = [id(p) for p in model.parameters() if p.requires_grad]
    assert sorted(id(p) for g in groups for p in g["params"]) == sorted(trained)
    scale = {id(p): group.get("lr_scale", 1.0) for group in groups for p in group["params"]}
    vit = model.encoder.backbone
    order = [vit.cls_token, vit.blocks[0].mlp.fc1.weight, vit.blocks[11].mlp.fc1.weight, model.decoder.out.weight]
    assert [scale[id(p)] for p in order] == sorted(scale[id(p)] for p in order) and scale[id(order[0])] < 0.05


def test_a_resumed_run_equals_an_uninterrupted_one(renders, tmp_path):
    whole = train(config_of(tmp_path / "whole", renders, steps=6))
    config = config_of(tmp_path / "parts", renders, steps=6, save_minutes=0.0)

    def stop_at_three(step):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=stop_at_three)
    parts = train(config)
    one, other = (load_bundle(folder).decoder.state_dict() for folder in (whole, parts))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-5)


def test_mirroring_labels_matches_mirroring_avatars():
    """The avatar mirrored in x with swapped labels is the avatar: what augmentation relies on."""
    avatar = load_avatar("mei")
    order = [avatar.target_names.index(n) for n in ARKIT]
    reach = np.linalg.norm(avatar.target_positions[order], axis=2)
    mass, side = reach.sum(1), reach @ avatar.positions[:, 0] / reach.sum(1)
    np.testing.assert_allclose(mass[mirrored(ARKIT)], mass, rtol=0.1)
    np.testing.assert_allclose(side[mirrored(ARKIT)], -side, atol=0.005)
    assert side[ARKIT.index("eyeBlinkLeft")] > 0.02


def test_a_mirrored_picture_carries_mirrored_labels(tmp_path):
    """The left half of every picture is bright, and every rig winks with the left eye: both turn together."""
    crops = np.zeros((8, 144, 144), np.uint8)
    crops[:, :, :72] = 255
    rigs = np.zeros((8, 52), np.float32)
    rigs[:, ARKIT.index("eyeBlinkLeft")] = 1
    np.save(tmp_path / "crops.npy", crops)
    np.save(tmp_path / "rigs.npy", rigs)
    config = MixtureConfig((tmp_path,), is_relit=False)
    mixture = Mixture(config, batch=8, parts=1, view=32, seed=0, cache=tmp_path)
    batch = mixture.prepare(mixture.draw(0, 0))
    is_turned = batch["rigs"][:, ARKIT.index("eyeBlinkRight")] == 1
    assert 0 < is_turned.sum() < 8
    shown_left = batch["views"][:, 0, :, :16].mean((1, 2)) > 0.5
    assert torch.equal(shown_left, ~is_turned)
