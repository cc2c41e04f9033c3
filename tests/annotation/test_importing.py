"""The image pool: what comes in, what is dropped, what is said about the rest."""

import struct
import threading
import time
import zipfile
import zlib

import cv2
import numpy as np
import pytest

from annotation.cli import main
from annotation.pool import builtin as pool
from annotation.pool.importing import ImportOptions, import_pictures
from annotation.pool.index import pool_ids
from annotation.pool.reading import read_pictures
from annotation.store.forgetting import forget_image
from annotation.store.images import Embedder, embed_missing, weights_id
from annotation.store.maintenance import check_store
from annotation.store.store import Store
from freeavatar.errors import InputError
from freeavatar.faces import crop_face, detect_faces
from tests.files import write_clip


@pytest.fixture(scope="module")
def embedder():
    return Embedder()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "a.db")


def png(image):
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def jpeg(image):
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def test_a_folder_comes_in_without_its_duplicates(store, embedder, actor_frames, tmp_path):
    folder = tmp_path / "ann"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(actor_frames[0]))
    (folder / "same.png").write_bytes(png(actor_frames[0]))
    (folder / "again.jpg").write_bytes(jpeg(actor_frames[0]))
    (folder / "smile.png").write_bytes(png(actor_frames[9]))
    (folder / "grey.png").write_bytes(png(np.full((90, 90, 3), 120, np.uint8)))
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("x")
    options = ImportOptions(licence="consent form 7", person="folder")
    report = import_pictures(store, [folder], options, embedder=embedder)
    assert (report.added, report.duplicates, len(report.failures)) == (2, 2, 2)
    assert any("no face" in f for f in report.failures) and any("not a readable image" in f for f in report.failures)
    rows = store.rows("select * from images join embeddings on image_id = id")
    assert all(r["person"] == "ann" and r["licence"] == "consent form 7" and r["kind"] == "photo" for r in rows)
    assert {len(row["vector"]) for row in rows} == {64} and rows[0]["weights"] == weights_id()
    assert cv2.imdecode(np.frombuffer(rows[0]["crop"], np.uint8), 1).shape[0] >= 144
    assert check_store(store) == []


def test_frames_of_a_video_are_kept_while_they_differ(store, embedder, actor_frames, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", [actor_frames[0]] * 30 + [actor_frames[9]] * 30)
    report = import_pictures(store, [clip], embedder=embedder)
    assert report.added == 2 and report.alike >= 6
    assert {row["kind"] for row in store.rows("select kind from images")} == {"frame"}


def test_aligned_crops_are_taken_as_they_are(store, embedder, actor_frames, tmp_path):
    crop = crop_face(actor_frames[9], detect_faces(actor_frames[9])[0].points)
    (tmp_path / "crop.png").write_bytes(png(crop))
    (tmp_path / "wide.png").write_bytes(png(crop[:100]))
    options = ImportOptions(is_aligned=True)
    report = import_pictures(store, [tmp_path / "crop.png", tmp_path / "wide.png"], options, embedder=embedder)
    assert report.added == 1 and "square" in report.failures[0]


def test_a_damaged_picture_in_a_zip_costs_only_itself(store, embedder, actor_frames, tmp_path):
    data = png(actor_frames[0])
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("d/good.png", data)
        archive.writestr("d/bad.png", b"\x89PNG and nothing after it")
        archive.writestr("d/torn.png", png(actor_frames[9]))
    raw = bytearray((tmp_path / "x.zip").read_bytes())
    at = raw.index(b"d/torn.png") + 5000
    raw[at : at + 50] = bytes(50)
    (tmp_path / "x.zip").write_bytes(raw)
    report = import_pictures(store, [tmp_path / "x.zip"], embedder=embedder)
    assert report.added == 1 and len(report.failures) == 2 and "cannot be unpacked" in " ".join(report.failures)


def test_a_zip_that_unpacks_to_too_much_is_refused_and_nothing_is_lost(store, embedder, actor_frames, tmp_path):
    (tmp_path / "a.png").write_bytes(png(actor_frames[0]))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive, \
            archive.open("big.png", "w", force_zip64=True) as file:  # fmt: skip
        for _ in range(10):
            file.write(bytes(2**24))
    raw = (tmp_path / "bomb.zip").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("annotation.pool.reading.MAX_ZIP_BYTES", 2**27)
        with pytest.raises(InputError, match="unpacks to"):
            import_pictures(store, [tmp_path / "a.png", tmp_path / "bomb.zip"], embedder=embedder)
    assert store.value("select count(*) from images") == 1 and len(raw) < 2**20
    report = import_pictures(store, [tmp_path / "bomb.zip"], embedder=embedder)
    assert report.added == 0 and "larger than 64 MB" in report.failures[0]


def test_fec_csvs_bring_faces_by_their_boxes(store, embedder, actor_frames, tmp_path):
    height, width = actor_frames[0].shape[:2]
    faces = detect_faces(actor_frames[0])
    left, top, right, bottom = faces[0].box
    box = [f"{v:.4f}" for v in (left / width, right / width, top / height, bottom / height)]
    for name, frame in (("a b.jpg", 0), ("c.jpg", 9)):
        (tmp_path / name).write_bytes(jpeg(actor_frames[frame]))
    urls = ["http://x.y/a%20b.jpg", "http://x.y/c.jpg", "http://x.y/gone.jpg"]
    cells = [cell for url in urls for cell in (url, *box)]
    (tmp_path / "fec.csv").write_text(",".join([*cells, "TWO_CLASS_TRIPLET", "1", "3"]) + "\n")
    report = import_pictures(store, [tmp_path / "fec.csv"], ImportOptions(images=tmp_path), embedder=embedder)
    assert report.added == 2 and "gone.jpg" in report.failures[0]
    with pytest.raises(InputError, match="--images"):
        import_pictures(store, [tmp_path / "fec.csv"], embedder=embedder)


def test_the_command_line_lists_failures(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    db = ["--db", str(tmp_path / "a.db")]
    assert main(["import", *db, str(tmp_path / "empty")]) == 1
    assert "shows no face" in capsys.readouterr().out
    assert main(["import", *db, str(tmp_path / "gone")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_built_in_renders_make_a_pool_with_practice_and_gold(store, embedder, monkeypatch):
    names = {name for practice in pool.PRACTICE for name in practice[:2]}
    monkeypatch.setattr(pool, "EXPRESSIONS", {k: v for k, v in pool.EXPRESSIONS.items() if k in names})
    monkeypatch.setattr(pool, "_MIXES", 1)
    made = pool.fill_builtin(store, embedder)
    assert made == 7 * len(names) + 7 and pool.fill_builtin(store, embedder) == 0
    assert store.value("select count(*) from questions where purpose = 'practice'") == 3
    assert len(pool_ids(store)) >= made - 1
    assert all(row["rig"] for row in store.rows("select rig from images"))
    with store.write() as db:
        db.execute("delete from embeddings")
    assert embed_missing(store, embedder) == len(pool_ids(store))


def test_two_servers_fill_a_new_pool_once(store, embedder, monkeypatch):
    def make(_store, _embedder):
        time.sleep(0.2)
        made.append(1)
        _store.set("builtin", True)
        return 5

    made: list[int] = []
    monkeypatch.setattr(pool, "_render_pool", make)
    others = [Store(store.path) for _ in range(3)]
    threads = [threading.Thread(target=pool.fill_builtin, args=(other, embedder)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    pool._add_known_questions(store, {}, [], np.random.default_rng(0))  # where there are no file locks
    assert store.value("select count(*) from questions") == 0


def test_a_pool_that_cannot_be_filled_is_said(store, embedder, monkeypatch):
    def fail(*_):
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(pool, "_render_pool", fail)
        pool.fill_builtin_later(store, embedder).join()
    assert pool.builtin_failure(store) == "OSError: no room" and pool.is_builtin_settled(store)
    monkeypatch.setattr(pool, "_render_pool", lambda *_: 0)
    pool.fill_builtin_later(store, embedder).join()
    assert pool.builtin_failure(store) == "" and not pool.is_builtin_settled(store)


def test_a_forgotten_face_is_not_imported_again(store, embedder, actor_frames, tmp_path):
    (tmp_path / "a.png").write_bytes(png(actor_frames[0]))
    assert import_pictures(store, [tmp_path / "a.png"], embedder=embedder).added == 1
    forget_image(store, str(tmp_path / "a.png"))
    report = import_pictures(store, [tmp_path / "a.png"], embedder=embedder)
    assert report.added == 0 and "was forgotten once: it stays away" in " ".join(report.failures)
    assert store.value("select count(*) from images") == 0


def test_imported_faces_take_the_place_of_the_built_in_ones(tmp_path):
    from tests.labels import make_store

    store = make_store(tmp_path / "b.db", 3)
    with store.write() as db:
        db.execute("insert into images select 'x', kind, 'builtin:a', box, licence, person, rig, crop, created "
                   "from images limit 1")  # fmt: skip
    assert "x" not in pool_ids(store)
    assert main(["settings", "--db", str(store.path), "is_builtin_asked=true"]) == 0
    assert "x" in pool_ids(store)


def test_giant_headers_and_damaged_lzma_are_failures_of_one_picture(tmp_path):
    small = png(np.zeros((8, 8, 3), np.uint8))
    header = b"IHDR" + struct.pack(">II", 10**6, 10**6) + small[24:29]
    giant = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.png", small * 50)
        archive.writestr("b.png", giant)
        archive.writestr("c.png", small)
    raw = bytearray((tmp_path / "x.zip").read_bytes())
    at = raw.index(b"a.png") + 5
    raw[at + 4 : at + 9] = b"\xff" * 5  # the properties of LZMA
    (tmp_path / "x.zip").write_bytes(raw)
    damaged, large, fine = read_pictures(tmp_path / "x.zip")
    assert "cannot be unpacked" in damaged.failure and "damaged or larger than a thousand megapixels" in large.failure
    assert fine.image is not None
