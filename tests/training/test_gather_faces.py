"""Gathering faces: whole pictures become crops, beside crops that were there."""

import csv
import zipfile

import cv2
import numpy as np
import pytest

from freeavatar.errors import InputError
from training.gather_faces import GatherConfig, gather_faces


def folder_of(path, images, split="train"):
    path.mkdir()
    with zipfile.ZipFile(path / "images.zip", "w") as archive:
        for name, image in images.items():
            archive.writestr(name, cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    lines = ["file,split,jawOpen", *(f"{name},{split},0.5" for name in images)]
    (path / "labels.csv").write_text("\n".join(lines))
    return path


def test_faces_of_pictures_lie_beside_crops(actor_frames, tmp_path, caplog):
    blank = np.full((200, 200, 3), 90, np.uint8)
    pictures = folder_of(tmp_path / "pictures", {"a/actor.png": actor_frames[0], "a/wall.png": blank})
    crops = folder_of(tmp_path / "crops", {"b.jpg": blank[:144, :144]})
    assert gather_faces(GatherConfig(pictures, tmp_path / "out", crops)) == 2
    rows = list(csv.DictReader((tmp_path / "out/labels.csv").open()))
    assert [row["file"] for row in rows] == ["a/actor.jpg", "b.jpg"] and rows[0]["jawOpen"] == "0.5"
    with zipfile.ZipFile(tmp_path / "out/images.zip") as archive:
        face = cv2.imdecode(np.frombuffer(archive.read("a/actor.jpg"), np.uint8), cv2.IMREAD_COLOR)
    assert face.shape == (144, 144, 3)
    assert "a/wall.png shows no face" in caplog.text


def test_pictures_without_any_face_are_refused(tmp_path):
    pictures = folder_of(tmp_path / "pictures", {"wall.png": np.zeros((160, 160, 3), np.uint8)})
    with pytest.raises(InputError, match=r"no picture of .* shows a face"):
        gather_faces(GatherConfig(pictures, tmp_path / "out"))
    with pytest.raises(InputError, match=r"lacks images\.zip"):
        gather_faces(GatherConfig(tmp_path, tmp_path / "out"))
