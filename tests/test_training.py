import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from freeavatar.avatars import load_avatar
from freeavatar.errors import InputError
from freeavatar.models import EncoderConfig, load_bundle
from freeavatar.rig import ARKIT, mirrored
from training.augment import random_views
from training.faces_data import decode_faces, read_rows, read_silver_labels, rigs_of
from training.losses import mine_triplets, rig_loss, triplet_loss
from training.render_faces import RenderConfig, render_faces
from training.sampling import INDEX, RigSampler
from training.train import Objective, TrainConfig, Trainee, train


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
    """Eight grey images with labels, two of them in the validation split."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    names = [n for n in ARKIT if n != "tongueOut"]
    lines = [",".join(["file", "split", *names])]
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for k in range(8):
            image = rng.integers(0, 255, (144, 144), np.uint8)
            archive.writestr(f"{k}.jpg", cv2.imencode(".jpg", image)[1].tobytes())
            lines.append(",".join([f"{k}.jpg", "val" if k > 5 else "train", *(f"{v:.3f}" for v in rng.random(51))]))
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def config_of(renders, out, **more):
    settings = {
        "steps": 20,
        "batch": 8,
        "encoder": EncoderConfig(image_size=32, feature_size=16),
        "is_pretrained": False,
    }
    return TrainConfig((renders,), out, **{**settings, **more})


def test_rig_loss_by_hand():
    predicted, target = torch.tensor([[0.5, 9.0]]), torch.tensor([[0.3, 0.0]])
    deviation, weight = torch.tensor([0.05, 1.0]), torch.tensor([1.0, 0.0])
    assert rig_loss(predicted, target, deviation, weight, is_exact=True).item() == pytest.approx(8)
    assert rig_loss(predicted, target, deviation, weight, is_exact=False).item() == pytest.approx(3.5)


def test_triplet_loss_by_hand():
    embedding = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert triplet_loss(embedding, torch.tensor([[0, 1, 2]])).item() == 0
    assert triplet_loss(embedding, torch.tensor([[0, 2, 1]])).item() == pytest.approx(2 + 0.1 + 0 + 0.1)
    assert triplet_loss(embedding, torch.empty(0, 3, dtype=torch.long)).item() == 0


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


def test_renders_are_reproducible_and_labelled(renders):
    crops, rigs = np.load(renders / "crops.npy"), np.load(renders / "rigs.npy")
    assert crops.shape == (8, 144, 144) and rigs.shape == (8, 52)
    assert json.loads((renders / "avatars.json").read_text()) == ["ines"] * 8
    again = renders.parent / "again"
    render_faces(RenderConfig(renders.parent / "avatars", again, count=8))
    np.testing.assert_array_equal(np.load(again / "crops.npy"), crops)


def test_labels_keep_to_their_split_and_order(faces):
    rows = read_rows(faces / "labels.csv")
    assert len(rows) == 6 and len(read_rows(faces / "labels.csv", split="val")) == 2
    rigs = rigs_of(rows)
    assert rigs[0, ARKIT.index("jawOpen")] == pytest.approx(float(rows[0]["jawOpen"]))
    assert (rigs[:, ARKIT.index("tongueOut")] == 0).all()
    assert read_silver_labels(faces / "labels.csv").max() <= 1
    with pytest.raises(InputError, match="expected train or val"):
        read_rows(faces / "labels.csv", split="tset")
    with pytest.raises(InputError, match="does not exist"):
        read_rows(faces / "gone.csv")


def test_faces_are_decoded_once(faces, tmp_path):
    rows = read_rows(faces / "labels.csv")
    crops = decode_faces(faces / "images.zip", rows, tmp_path)
    assert crops.shape == (6, 144, 144)
    (cache,) = tmp_path.iterdir()
    made = cache.stat().st_mtime_ns
    np.testing.assert_array_equal(decode_faces(faces / "images.zip", rows, tmp_path), crops)
    assert cache.stat().st_mtime_ns == made
    assert decode_faces(faces / "images.zip", rows[:2], tmp_path).shape[0] == 2
    with pytest.raises(InputError, match="no zip with the images"):
        decode_faces(tmp_path / "gone.zip", rows, tmp_path)


def test_one_sided_brows_and_dead_channels_of_real_faces_have_no_gradient(renders, faces, tmp_path):
    from training.train import Faces

    config = config_of(renders, tmp_path, faces=faces)
    generator = torch.Generator().manual_seed(0)
    objective = Objective(Faces(config, generator), config, generator)
    model = Trainee(config)
    predicted = torch.rand(2, 52, requires_grad=True)
    model.forward = lambda views, codes: (predicted, torch.eye(2, 16))
    labels = torch.rand(2, 52)
    objective(model, (torch.rand(2, 1, 32, 32), labels, torch.zeros(2, dtype=torch.long), torch.ones(2).bool()))[
        "silver"
    ].backward()
    left, right = predicted.grad[:, ARKIT.index("browDownLeft")], predicted.grad[:, ARKIT.index("browDownRight")]
    torch.testing.assert_close(left, right)
    assert (predicted.grad[:, ARKIT.index("cheekPuff")] == 0).all()
    assert (predicted.grad[:, ARKIT.index("jawOpen")] != 0).all()


def test_every_parameter_gets_a_gradient_from_real_faces_and_renders(renders, faces, tmp_path):
    from training.train import Faces

    config = config_of(renders, tmp_path, faces=faces, identities=("ines",))
    generator = torch.Generator().manual_seed(0)
    data = Faces(config, generator)
    model = Trainee(config)
    losses = Objective(data, config, generator)(model, data.batch(16))
    torch.stack(list(losses.values())).sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


def test_the_loss_falls_and_the_weights_load(renders, tmp_path):
    weights = train(config_of(renders, tmp_path, steps=100, triplet_weight=0.0))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["rig"] < 0.9 * lines[0]["rig"]
    assert load_bundle(weights).info["steps"] == 100


def test_a_run_goes_on_only_with_its_own_settings(renders, tmp_path):
    train(config_of(renders, tmp_path, steps=1))
    with pytest.raises(InputError, match="other settings"):
        train(config_of(renders, tmp_path, steps=2))


def test_a_run_can_start_from_a_bundle(renders, tmp_path):
    weights = train(config_of(renders, tmp_path / "first", steps=2))
    model = Trainee(config_of(renders, tmp_path / "second", start=weights))
    torch.testing.assert_close(model.encoder.project.weight, load_bundle(weights).encoder.project.weight)
    assert model.encoder.project.weight.requires_grad


def test_a_resumed_run_equals_an_uninterrupted_one(renders, tmp_path):
    whole = train(config_of(renders, tmp_path / "whole", steps=8))
    config = config_of(renders, tmp_path / "parts", steps=8)

    def stop_at_four(step):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=stop_at_four)
    parts = train(config)
    one, other = (load_bundle(folder).decoder.state_dict() for folder in (whole, parts))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-5)


def test_mirroring_labels_matches_mirroring_avatars():
    """The avatar mirrored in x with swapped labels is the avatar: what augmentation relies on."""
    avatar = load_avatar("mei")
    order = [avatar.target_names.index(n) for n in ARKIT]
    reach = np.linalg.norm(avatar.target_positions[order], axis=2)
    mass = reach.sum(1)
    np.testing.assert_allclose(mass[mirrored(ARKIT)], mass, rtol=0.1)
