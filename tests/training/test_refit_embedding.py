"""The embedding's map is refitted to labels, and nothing else of a bundle changes."""

import csv
import zipfile

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import gelu, normalize

from freeavatar.errors import InputError
from freeavatar.networks import load_bundle
from tests.bundles import make_bundle
from training.refit_embedding import RefitConfig, refit, refit_embedding


def test_a_map_that_leans_on_single_faces_learns_what_they_share(tmp_path):
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=600)
    shared = 2.0 * np.eye(3)[classes] @ rng.normal(0, 1, (3, 24))
    features = (shared[:, None] + rng.normal(0, 1, (600, 2, 24))).astype(np.float32)
    torch.manual_seed(0)
    embed = nn.Linear(24, 16)

    def hits() -> float:
        with torch.no_grad():
            found = normalize(embed(gelu(torch.from_numpy(features[300:, 0]))), dim=1).numpy()
        apart = ((found[:, None] - found[None]) ** 2).sum(2)
        same = classes[300:, None] == classes[None, 300:]
        return float(apart[~same].mean() - apart[same].mean())

    before = hits()
    config = RefitConfig(tmp_path, tmp_path, tmp_path, steps=150, rate=1e-2, kept=0.1)
    refit(embed, features[:300], [f"class {k}" for k in classes[:300]], config)
    assert hits() > before + 0.15


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for k in range(120):
            crop = rng.integers(0, 255, (48, 48), dtype=np.uint8)
            archive.writestr(f"{k}.png", cv2.imencode(".png", crop)[1].tobytes())
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = [(f"{k}.png", "train", "joy" if k % 2 else "anger") for k in range(120)]
        csv.writer(file).writerows([("file", "split", "emotion"), *rows])
    return folder


def test_nothing_but_the_map_changes(faces, tmp_path):
    made = make_bundle(tmp_path / "bundle")
    refit_embedding(RefitConfig(made, faces, tmp_path / "refitted", steps=3))
    before, after = load_bundle(made), load_bundle(tmp_path / "refitted")
    changed = {
        name
        for name, values in after.encoder.state_dict().items()
        if not torch.equal(values, before.encoder.state_dict()[name])
    }
    assert changed == {"embed.weight", "embed.bias"}
    assert all(torch.equal(a, b) for a, b in zip(after.decoder.parameters(), before.decoder.parameters(), strict=True))


def test_too_few_labels_are_named(faces, tmp_path):
    labels = faces / "labels.csv"
    labels.write_text(labels.read_text().replace("joy", "anger"))
    with pytest.raises(InputError, match="fewer than two emotions"):
        refit_embedding(RefitConfig(make_bundle(tmp_path / "bundle"), faces, tmp_path / "out"))
