"""What a fine-tune needs of training: parts that stay, statistics that stay, labels on record."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from freeavatar.networks import Encoder, load_bundle
from tests.bundles import ENCODER
from tests.jobs import make_job
from training.data.augment import random_views
from training.data.drawing import mine_triplets
from training.data.features import cached_pooled
from training.data.images import ImagePool, list_images, open_images
from training.data.mixture import MixtureConfig
from training.engine.batches import generator_of
from training.engine.metrics import read_metrics
from training.engine.stage import EngineConfig
from training.objectives.losses import distillation_loss
from training.renders.rehearsal import rehearsal_folder
from training.train import (
    LossConfig,
    Objective,
    PartRates,
    TrainConfig,
    Trainee,
    groups_of,
    open_mixture,
    train,
)


@pytest.fixture
def config(tmp_path) -> TrainConfig:
    """Fine-tune the embedding and, slowly, the feature."""
    job = make_job(tmp_path)
    base = tmp_path / "base"
    data = MixtureConfig(
        (rehearsal_folder(8),), None, (job.train,), triplet_images=job.images, listed_share=2.0
    )  # fmt: skip
    engine = EngineConfig(tmp_path / "run", steps=4, batch=12, log_every=1, report_every=2)
    return TrainConfig(
        engine, data, ENCODER, LossConfig(distillation=1.0, embedding_share=0.0), PartRates(0.0, 0.01, 0.0),
        start=base, teacher=base, held_out=job.held_out, is_norm_frozen=True,
    )  # fmt: skip


def test_frozen_parts_come_out_as_they_went_in(config):
    before, after = load_bundle(config.start), load_bundle(train(config))
    for name, old in before.encoder.backbone.state_dict().items():
        assert torch.equal(old, after.encoder.backbone.state_dict()[name]), name
    assert all(torch.equal(*pair) for pair in zip(before.decoder.parameters(), after.decoder.parameters(), strict=True))
    assert not torch.equal(before.encoder.embed.weight, after.encoder.embed.weight)
    assert not torch.equal(before.encoder.project.weight, after.encoder.project.weight)


def test_held_out_answers_are_looked_at_and_labels_are_on_record(config):
    train(config)
    looks = [line for line in read_metrics(config.engine.out) if "held_out" in line]
    assert [line["step"] for line in looks] == [2, 4]
    assert all(line["held_out_low"] <= line["held_out"] <= line["held_out_high"] for line in looks)
    (path,) = config.data.triplets
    kept = json.loads((config.engine.out / "config.json").read_text())["sha256"]
    assert kept == {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}


def test_every_part_has_its_rate_and_frozen_ones_have_none(config):
    model = Trainee(config, 0, load_bundle(config.teacher))
    rates = {id(p): group.get("lr_scale", 1.0) for group in groups_of(config, model) for p in group["params"]}
    assert rates[id(model.encoder.project.weight)] == 0.01 and rates[id(model.encoder.embed.weight)] == 1.0
    frozen = [*model.encoder.backbone.parameters(), *model.decoder.parameters()]
    assert not any(p.requires_grad or id(p) in rates for p in frozen)
    assert all(id(p) in rates for p in model.parameters() if p.requires_grad)
    with pytest.raises(ValueError, match="factors of 0 or more"):
        PartRates(backbone_rate=-1.0)


def test_frozen_statistics_stay_in_training_mode(config):
    model = Trainee(config, 0, load_bundle(config.teacher)).train()
    assert model.training and not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_a_backbone_that_student_and_teacher_share_runs_once(config, monkeypatch):
    teacher, mixture = load_bundle(config.teacher), open_mixture(config)
    losses = replace(config.losses, embedding_share=0.5)
    runs, pool = [], Encoder.pool
    monkeypatch.setattr(Encoder, "pool", lambda self, crops: runs.append(self) or pool(self, crops))
    found = []
    for is_shared in (True, False):
        torch.manual_seed(0)
        told = replace(config, losses=losses, is_norm_frozen=is_shared)
        model = Trainee(replace(told, is_norm_frozen=True), 0, teacher).train()
        torch.nn.init.normal_(model.encoder.embed.weight)
        found.append(
            Objective(mixture, told, torch.device("cpu"), teacher)(model, mixture.prepare(mixture.draw(0, 0)))[
                "distillation"
            ]
        )
    assert len(runs) == 3
    torch.testing.assert_close(found[0], found[1])


def test_a_frozen_backbone_encodes_each_image_once_and_for_all(config, monkeypatch):
    engine = replace(config.engine, steps=40, report_every=0)
    sizes, pool = [], Encoder.pool
    monkeypatch.setattr(Encoder, "pool", lambda self, crops: sizes.append(len(crops)) or pool(self, crops))
    total = open_mixture(config).total
    views = replace(config, engine=engine).encoded_views(total)
    assert 2 <= views <= 40 * 12 / total
    first = load_bundle(train(replace(config, engine=engine)))
    assert sum(sizes) == total * views < 40 * 12
    sizes.clear()
    again = load_bundle(train(replace(config, engine=replace(engine, out=engine.out.with_name("again")))))
    assert not sizes
    for old, new in zip(first.encoder.parameters(), again.encoder.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0)


def test_what_is_encoded_once_is_what_the_backbone_gives_of_jittered_views(config, tmp_path):
    encoder = Trainee(config, 0, load_bundle(config.teacher)).eval().encoder
    pool = open_images(list_images([rehearsal_folder(8)]), cache=tmp_path, size=144)
    found = cached_pooled(pool, encoder, views=4, is_relit=False, cache=tmp_path, device=torch.device("cpu"))
    crops = torch.from_numpy(pool.gather(np.arange(8)))[:, None].float() / 255
    for view in range(4):
        mirror = torch.full((8,), view % 2 == 1)
        with torch.no_grad():
            seen = encoder.pool(random_views(crops, 32, mirror, generator_of(5, 0, view), relight=False))
        torch.testing.assert_close(torch.from_numpy(np.array(found[:, view])).float(), seen, rtol=1e-3, atol=1e-3)


def test_batches_of_what_is_encoded_once_are_of_the_same_images_and_mirror_triplets_whole(config, monkeypatch):
    def numbers(pool, encoder, *, views, **more):
        return np.stack(np.mgrid[: len(pool), :views], -1)

    monkeypatch.setattr("training.data.mixture.cached_pooled", numbers)
    plain, encoded = open_mixture(config), open_mixture(config)
    encoded.encode(None, views=4, cache=config.engine.out, device=torch.device("cpu"))
    seen = []
    for step in range(12):
        batch, (_, renders, _, _) = encoded.draw(step, 0), plain._index(step, 0)
        row, view = batch["pooled"].T
        assert row[: len(renders)].tolist() == renders.tolist()
        assert (view[batch["by_list"]] % 2 == view[batch["by_list"]][:, :1] % 2).all()
        assert "views" not in encoded.prepare(batch)
        seen += view.tolist()
    assert set(seen) == {0, 1, 2, 3}


def test_a_backbone_that_is_trained_or_that_the_teacher_lacks_sees_new_views_at_every_step(config):
    engine = replace(config.engine, steps=1000)
    long = replace(config, engine=engine)
    assert long.encoded_views(10) == 8
    assert replace(long, rates=PartRates(0.01)).encoded_views(10) == 0
    assert replace(long, is_norm_frozen=False).encoded_views(10) == 0
    assert replace(long, teacher=Path("another")).encoded_views(10) == 0
    assert long.encoded_views(5000) == 2 and long.encoded_views(10_000) == 0


def test_views_for_a_frozen_backbone_are_not_relit(config, monkeypatch):
    data = replace(config.data, is_relit=False)
    grey = open_mixture(replace(config, data=data))
    relit = open_mixture(config)
    monkeypatch.setattr(ImagePool, "gather", lambda self, index: np.full((len(index), 144, 144), 51, np.uint8))
    plain, changed = (mixture.prepare(mixture.draw(0, 0))["views"] for mixture in (grey, relit))
    assert (plain - 0.2).abs().max() < 1e-3 < (changed - 0.2).abs().max()


def test_a_student_that_starts_as_its_teacher_has_nothing_to_learn_from_it(config):
    teacher = load_bundle(config.teacher)
    model = Trainee(config, 0, teacher).eval()
    views = torch.rand(3, 1, 32, 32)
    feature, embedding = model.encoder(views)
    assert distillation_loss(model.imitate(feature), embedding, teacher.encoder(views)).item() < 1e-4
    half = distillation_loss(feature, -embedding, (feature, embedding), embedding_share=0.25)
    assert half.item() == pytest.approx(0.5, abs=1e-4)


def test_mined_triplets_are_three_images_and_one_rig_on_two_faces_counts_as_alike():
    rigs = torch.rand(12, 52)
    rigs[6:] = rigs[:6]
    triplets = mine_triplets(rigs, 3000, torch.Generator().manual_seed(0))
    a, p, n = triplets.T
    assert ((a != p) & (a != n) & (p != n)).all()
    assert len(triplets) > 50 and ((a - p).abs() == 6).all()
