import zipfile

import cv2
import numpy as np
import pytest

from freeavatar.errors import FaceError, InputError
from freeavatar.faces import crop_face, detect_faces
from freeavatar.pipeline import embed


def png(image):
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def test_images_folders_zips_and_videos_are_embedded(actor_frames, short_clip, tmp_path):
    (tmp_path / "a.png").write_bytes(png(actor_frames[0]))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.png").write_bytes(png(actor_frames[9]))
    (folder / "._b.png").write_bytes(b"what macOS leaves behind")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("x/c.png", png(actor_frames[5]))
    inputs = [tmp_path / "a.png", folder, tmp_path / "c.zip", short_clip]
    arrays = embed(inputs, out=tmp_path / "emb.npz")
    assert list(arrays["paths"][:4]) == [str(tmp_path / "a.png"), str(folder / "b.png"), "x/c.png", f"{short_clip}#0"]
    assert arrays["embedding"].shape == (13, 16) and arrays["feature"].shape[0] == 13
    np.testing.assert_allclose(np.linalg.norm(arrays["embedding"], axis=1), 1, atol=1e-5)
    stored = np.load(tmp_path / "emb.npz")
    assert set(stored.files) == {"paths", "embedding", "feature", "confidence", "bundle"}


def test_like_expressions_lie_nearer_than_unlike_ones(actor_frames, tmp_path):
    for k in (0, 1, 9):
        (tmp_path / f"{k}.png").write_bytes(png(actor_frames[k]))
    e = embed([tmp_path / f"{k}.png" for k in (0, 1, 9)], out=tmp_path / "emb.npz")["embedding"]
    assert np.linalg.norm(e[0] - e[1]) < np.linalg.norm(e[0] - e[2])


def test_aligned_crops_give_what_detection_gives(actor_frames, tmp_path):
    frame = actor_frames[9]
    (tmp_path / "frame.png").write_bytes(png(frame))
    crop = crop_face(frame, detect_faces(frame)[0].points)
    (tmp_path / "crop.png").write_bytes(png(crop))
    detected = embed([tmp_path / "frame.png"], out=tmp_path / "a.npz")["embedding"]
    aligned = embed([tmp_path / "crop.png"], out=tmp_path / "b.npz", is_aligned=True)["embedding"]
    assert (detected * aligned).sum() > 0.97


def test_an_image_without_a_face_keeps_its_row_with_confidence_0(actor_frames, tmp_path):
    (tmp_path / "face.png").write_bytes(png(actor_frames[0]))
    (tmp_path / "grey.png").write_bytes(png(np.full((100, 100, 3), 120, np.uint8)))
    arrays = embed([tmp_path / "face.png", tmp_path / "grey.png"], out=tmp_path / "emb.npz")
    assert arrays["confidence"][0] > 0.5 and arrays["confidence"][1] == 0
    assert (arrays["embedding"][1] == 0).all()


def test_bad_inputs_are_refused(tmp_path):
    (tmp_path / "grey.png").write_bytes(png(np.full((90, 100, 3), 120, np.uint8)))
    (tmp_path / "bad.zip").write_bytes(b"PK")
    (tmp_path / "bad.png").write_bytes(b"no")
    cases = [
        ([], False, InputError),
        ([tmp_path / "grey.png"], False, FaceError), ([tmp_path / "grey.png"], True, FaceError),
        ([tmp_path / "bad.zip"], False, InputError), ([tmp_path / "bad.png"], False, InputError),
        ([tmp_path / "gone.png"], False, InputError),
    ]  # fmt: skip
    for inputs, is_aligned, error in cases:
        with pytest.raises(error):
            embed(inputs, out=tmp_path / "emb.npz", is_aligned=is_aligned)
    assert not (tmp_path / "emb.npz").exists()
