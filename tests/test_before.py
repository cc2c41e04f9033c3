"""What earlier versions wrote still opens: a take, a bundle, a database of labels and a training run of version 1."""

import shutil
import zipfile

import numpy as np
import pytest

from annotation.store.maintenance import check_store
from annotation.store.store import Store
from freeavatar.avatars import load_avatar
from freeavatar.models import load_bundle
from freeavatar.models.bundle import complete_bundle
from freeavatar.pipeline import AnimateOptions, animate, load_take
from freeavatar.pipeline.acting import identity_of
from freeavatar.pipeline.take import save_take
from tests.files import ROOT
from training.jobs.job import list_runs, runs_folder

BEFORE = ROOT / "tests" / "data" / "v1"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    with zipfile.ZipFile(BEFORE / "bundle.zip") as archive:
        archive.extractall(folder)
    complete_bundle(folder)
    return load_bundle(folder)


@pytest.fixture
def take(tmp_path):
    shutil.copy(BEFORE / "actor.mp4", tmp_path)
    return load_take(shutil.copy(BEFORE / "actor.take.npz", tmp_path))


def test_a_bundle_knows_its_avatars_by_the_names_of_their_controls(bundle):
    assert bundle.id == "cd73fd720931" and bundle.identity_encoder is not None
    for name in ("ines", "moss"):
        assert identity_of(load_avatar(name), bundle) is bundle.identities[name]


def test_a_take_knows_no_cuts_and_is_decoded_again(take, bundle):
    assert not take.track.cuts.any() and not take.info.has_cuts and not take.acted
    cast = [load_avatar("ines"), load_avatar("moss")]
    decoded = take.decode(cast, bundle)
    with np.load(BEFORE / "rigs.npz") as rigs:
        for avatar in cast:
            np.testing.assert_allclose(decoded.raw(avatar.content).weights, rigs[avatar.name], atol=1e-4)
    assert not decoded.matches(take.source_path, AnimateOptions(end=0.4), bundle.id), "tracking would find cuts"
    again = load_take(save_take(decoded))
    assert again.info == decoded.info and again.acted.keys() == decoded.acted.keys()


def test_a_take_plays_on_an_avatar_it_never_met(take, bundle, tmp_path):
    report = animate(take.path, ["pip"], out=tmp_path / "out", options=AnimateOptions(height=96), bundle=bundle)
    assert report.frames == 10 and report.files["pip"]["glb"].is_file()


def test_a_database_of_labels_opens(tmp_path):
    with zipfile.ZipFile(BEFORE / "labels.zip") as archive:
        archive.extractall(tmp_path)
    store = Store(tmp_path / "labels.db")
    assert store.value("select count(*) from images") == 20 and store.value("select count(*) from answers") == 6
    assert check_store(store) == []


def test_a_training_run_is_listed():
    shutil.copytree(BEFORE / "run", runs_folder() / "20261126-105259-cd3f")
    (run,) = list_runs()
    assert run.state == "finished" and run.config.title == "tiny" and run.config.plan.steps == 3
