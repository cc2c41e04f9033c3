"""Packing: what is unpacked is what was packed, in parts of the size asked for."""

import json
import zipfile

import cv2
import numpy as np
import pytest

from freeavatar.errors import InputError
from training.pack import PackConfig, pack, unpack


@pytest.fixture
def sources(tmp_path):
    rng = np.random.default_rng(0)
    renders, faces, portraits = (tmp_path / name for name in ("renders", "faces", "portraits"))
    for folder in (renders, faces, portraits):
        folder.mkdir()
    soft = [cv2.GaussianBlur(rng.integers(0, 255, (144, 144, 3), np.uint8), (0, 0), 8) for _ in range(12)]
    np.save(renders / "crops.npy", np.stack([cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in soft]))
    np.save(renders / "rigs.npy", rng.random((12, 52), np.float32))
    (renders / "avatars.json").write_text(json.dumps(["a"] * 12))
    np.save(portraits / "pictures.npy", np.stack(soft))
    with zipfile.ZipFile(faces / "images.zip", "w") as archive:
        for k, picture in enumerate(soft):
            archive.writestr(f"people/{k}.jpg", cv2.imencode(".jpg", picture)[1].tobytes())
    (faces / "labels.csv").write_text("file,split\npeople/0.jpg,train\n")
    return renders, faces, portraits


def test_what_is_unpacked_is_what_was_packed(sources, tmp_path):
    renders, faces, _ = sources
    parts = pack(PackConfig(sources, tmp_path / "parts", mib=0.008))
    assert len(parts) > 2 and max(part.stat().st_size for part in parts) < 0.008 * 2**20
    unpack(PackConfig((tmp_path / "parts",), tmp_path / "data", is_unpacking=True))
    assert np.array_equal(np.load(tmp_path / "data/renders/rigs.npy"), np.load(renders / "rigs.npy"))
    assert (tmp_path / "data/faces/labels.csv").read_bytes() == (faces / "labels.csv").read_bytes()
    for name in ("renders/crops.npy", "portraits/pictures.npy"):
        before, after = np.load(tmp_path / name), np.load(tmp_path / "data" / name)
        assert after.shape == before.shape and np.abs(after.astype(int) - before).mean() < 4
    with zipfile.ZipFile(tmp_path / "data/faces/images.zip") as archive:
        assert archive.namelist() == [f"people/{k}.jpg" for k in range(12)]
        assert cv2.imdecode(np.frombuffer(archive.read("people/3.jpg"), np.uint8), 1).shape == (144, 144, 3)


def test_unpacking_again_changes_nothing(sources, tmp_path):
    pack(PackConfig(sources, tmp_path / "parts"))
    for _ in range(2):
        unpack(PackConfig((tmp_path / "parts",), tmp_path / "data", is_unpacking=True))
    with zipfile.ZipFile(tmp_path / "data/faces/images.zip") as archive:
        assert len(archive.namelist()) == 12


def test_errors_say_what_to_give(tmp_path):
    with pytest.raises(InputError, match="is no folder: name folders of faces"):
        pack(PackConfig((tmp_path / "nothing",), tmp_path / "parts"))
    with pytest.raises(InputError, match=r"holds no part_00\.zip"):
        unpack(PackConfig((tmp_path,), tmp_path / "data", is_unpacking=True))
