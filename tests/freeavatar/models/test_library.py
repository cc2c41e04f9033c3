"""Bundles in the library: named by content, adopted and taken back, refused in words."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from freeavatar.cli import main
from freeavatar.errors import InputError, WeightsError
from freeavatar.models import DEFAULT_WEIGHTS, adopted_bundle, bundle, bundle_id, library, load_bundle, open_bundle
from freeavatar.models.bundle import complete_bundle
from freeavatar.models.library import (
    add_bundle,
    adopt_bundle,
    convert_bundle,
    export_bundle,
    find_bundle,
    import_bundle,
    list_bundles,
    previous_bundle,
    roll_back,
)
from freeavatar.pipeline import embed, shared_bundle
from tests.bundles import make_bundle


def added(tmp_path, seed=0, **lineage):
    folder = make_bundle(tmp_path / f"made{seed}", seed=seed)
    return add_bundle(folder, lineage={"title": f"bundle {seed}", "created": f"{seed}", **lineage})


def test_the_weights_that_ship_are_a_bundle_like_any_other_and_in_use_at_first():
    (entry,) = list_bundles()
    assert entry.name == "default" and entry.is_adopted and entry.folder == DEFAULT_WEIGHTS == adopted_bundle()
    assert open_bundle().id == bundle_id(DEFAULT_WEIGHTS) == entry.id


def test_the_id_follows_the_content(tmp_path):
    one, again, other = (make_bundle(tmp_path / str(k), seed=k // 2) for k in range(3))
    assert bundle_id(one) == bundle_id(again) != bundle_id(other)
    assert added(tmp_path, 7).folder == added(tmp_path, 7).folder


def test_adopting_and_rolling_back_go_through_one_pointer(tmp_path):
    first, second = added(tmp_path, 1), added(tmp_path, 2)
    assert [entry.name for entry in list_bundles()] == ["default", first.name, second.name]
    for entry in (first, second):
        assert adopt_bundle(entry.name).is_adopted and adopted_bundle() == entry.folder
    assert previous_bundle() == first.name
    assert roll_back().name == first.name and adopted_bundle() == first.folder
    assert roll_back().name == "default" and adopted_bundle() == DEFAULT_WEIGHTS
    with pytest.raises(WeightsError, match="nothing to go back to"):
        roll_back()


def test_a_bundle_goes_by_the_start_of_its_id_or_its_folder(tmp_path):
    entry = added(tmp_path)
    assert find_bundle(entry.name[:5]) == find_bundle(entry.name) == find_bundle(entry.folder) == entry.folder
    with pytest.raises(WeightsError, match=f"there is no bundle 'gone': give one of default, {entry.name}"):
        find_bundle("gone")
    with pytest.raises(WeightsError, match="models import"):
        adopt_bundle(str(make_bundle(tmp_path / "outside", seed=9)))


def test_an_exported_bundle_is_the_same_after_its_import(tmp_path, user_home):
    entry = added(tmp_path, base="default")
    file = export_bundle(entry.name, tmp_path / "out" / "b.zip")
    shutil.rmtree(user_home / "bundles")
    back = import_bundle(file)
    assert (back.id, back.title, back.lineage) == (entry.id, entry.title, entry.lineage)
    assert not list((user_home / "bundles").glob(".*"))
    assert import_bundle(back.folder).id == entry.id
    assert {path.name for path in back.folder.glob("*.onnx")} == {"encoder.onnx", "decoder.onnx"}


def test_graphs_are_written_once_and_are_no_part_of_the_id(tmp_path, capsys):
    folder = make_bundle(tmp_path / "bundle", has_renderer=True)
    before = bundle_id(folder)
    with pytest.raises(WeightsError, match=f"models convert {folder}"):
        open_bundle(folder)
    assert main(["models", "convert", str(folder)]) == 0
    assert [line.rpartition("/")[2] for line in capsys.readouterr().out.splitlines()] == [
        "encoder.onnx", "decoder.onnx", "identity.onnx", "bundle is ready to run.",
    ]  # fmt: skip
    assert open_bundle(folder).id == before
    assert main(["models", "convert", str(folder)]) == 0 and main(["models", "convert"]) == 0
    assert ".onnx" not in capsys.readouterr().out


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_truncated_file_is_refused_and_the_bundle_in_use_stays(tmp_path, part):
    entry = added(tmp_path)
    file = entry.folder / f"{part}.safetensors"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(WeightsError, match="take all files from one bundle"):
        adopt_bundle(entry.name)
    assert adopted_bundle() == DEFAULT_WEIGHTS


def spoil(path):
    """Make a graph one that says what it was made from and does not open."""
    path.write_bytes(b"no graph" + path.read_bytes()[-64:])


def forget_graphs(folder):
    """Make a lineage one of before hashes of graphs were kept."""
    lineage = json.loads((folder / "lineage.json").read_text())
    del lineage["graphs"]
    (folder / "lineage.json").write_text(json.dumps(lineage))


def test_a_graph_that_does_not_open_is_neither_adopted_nor_gone_back_to_nor_exported(tmp_path):
    first, second = added(tmp_path, 1), added(tmp_path, 2)
    for entry in (first, second):
        adopt_bundle(entry.name)
    forget_graphs(first.folder)
    spoil(first.folder / "encoder.onnx")
    for act in (roll_back, lambda: adopt_bundle(first.name), lambda: export_bundle(first.name, tmp_path / "b.zip")):
        with pytest.raises(WeightsError, match=r"encoder\.onnx is damaged"):
            act()
    assert adopted_bundle() == second.folder and not (tmp_path / "b.zip").exists()


def test_graphs_that_came_along_are_written_anew(tmp_path):
    folder = make_bundle(tmp_path / "made")
    complete_bundle(folder)
    own = (folder / "encoder.onnx").read_bytes()
    spoil(folder / "encoder.onnx")
    entry = import_bundle(folder)
    assert (entry.folder / "encoder.onnx").read_bytes() == own


def test_without_torch_graphs_that_came_along_are_taken_if_they_open(tmp_path, user_home, monkeypatch):
    folder = make_bundle(tmp_path / "made")
    complete_bundle(folder)
    for module in (bundle, library):
        monkeypatch.setattr(module, "missing_packages", lambda: ["torch"])
    entry = import_bundle(folder)
    assert entry.lineage["graphs"] == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("decoder.onnx", "encoder.onnx")
    }
    shutil.rmtree(user_home / "bundles")
    spoil(folder / "encoder.onnx")
    with pytest.raises(WeightsError, match=r"encoder\.onnx is damaged"):
        import_bundle(folder)
    assert list_bundles()[1:] == []


def test_a_graph_exchanged_in_the_library_is_refused_until_it_is_written_anew(tmp_path):
    entry = added(tmp_path)
    path = entry.folder / "encoder.onnx"
    own = path.read_bytes()
    path.write_bytes(own + b"\n")  # still says what it was made from
    with pytest.raises(WeightsError, match=r"encoder\.onnx is not the file that the library took in"):
        open_bundle(entry.name)
    assert convert_bundle(entry.name) == [path] and path.read_bytes() == own
    open_bundle(entry.name).check()


def test_a_lineage_reaches_no_other_files(tmp_path):
    folder = make_bundle(tmp_path / "made")
    (tmp_path / "keep.onnx").write_text("mine")
    lineage = {"graphs": {"../keep.onnx": "0"}}
    (folder / "lineage.json").write_text(json.dumps(lineage))
    assert len(convert_bundle(folder)) == 2 and (tmp_path / "keep.onnx").read_text() == "mine"
    open_bundle(folder)


def test_adding_a_bundle_again_gives_it_the_graphs_it_lacks(tmp_path):
    entry = added(tmp_path)
    forget_graphs(entry.folder)
    (entry.folder / "encoder.onnx").unlink()
    again = added(tmp_path)
    open_bundle(again.name).check()
    assert set(again.lineage["graphs"]) == {"decoder.onnx", "encoder.onnx"}


def test_parts_of_two_bundles_do_not_pass_as_one(tmp_path):
    one, two = added(tmp_path, 1), added(tmp_path, 2)
    shutil.copyfile(two.folder / "decoder.safetensors", one.folder / "decoder.safetensors")
    complete_bundle(one.folder)
    load_bundle(one.folder)
    with pytest.raises(WeightsError, match=f"other weights than those of bundle {one.name}"):
        open_bundle(one.name)


def test_what_is_no_bundle_is_refused_in_words(tmp_path, user_home):
    with pytest.raises(WeightsError, match="expected ARKit's blendshapes alone"):
        import_bundle(make_bundle(tmp_path / "rig", controls=("wagTail",)))
    (tmp_path / "half.zip").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="no whole zip"):
        import_bundle(tmp_path / "half.zip")
    with pytest.raises(InputError, match="does not exist"):
        import_bundle(tmp_path / "gone.zip")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../config.json", "{}")
    with pytest.raises(WeightsError, match="holds no bundle"):
        import_bundle(tmp_path / "evil.zip")
    assert list_bundles()[1:] == [] and not list((user_home / "bundles").iterdir())


def test_a_lost_bundle_or_a_damaged_pointer_is_said_with_the_way_out(tmp_path, user_home):
    entry = added(tmp_path)
    adopt_bundle(entry.name)
    shutil.rmtree(entry.folder)
    with pytest.raises(WeightsError, match=f"{entry.name} is gone: take another by `models use default`"):
        adopted_bundle()
    assert adopt_bundle("default").name == "default"
    (user_home / "bundles" / "adopted.json").write_text("{")
    with pytest.raises(WeightsError, match="delete it to use the weights that ship"):
        adopted_bundle()


def test_embeddings_name_the_bundle_in_use(tmp_path, actor_frames):
    import cv2

    cv2.imwrite(str(tmp_path / "face.png"), actor_frames[0])
    entry = added(tmp_path)
    names = []
    for name in (entry.name, "default"):
        adopt_bundle(name)
        embed([tmp_path / "face.png"], out=tmp_path / "emb.npz")
        names.append(str(np.load(tmp_path / "emb.npz")["bundle"]))
    assert names == [entry.id, bundle_id(DEFAULT_WEIGHTS)]


def test_adopting_changes_the_curves_and_rolling_back_restores_every_bit(short_clip, tmp_path, capsys):
    entry = added(tmp_path)

    def animated(folder, *more):
        assert main(["animate", str(short_clip), "--out", str(tmp_path / folder), *more]) == 0
        settings = json.loads((tmp_path / folder / "short_ines.json").read_text())["settings"]
        return (tmp_path / folder / "short_ines.csv").read_bytes(), settings["bundle"]

    before = animated("before")
    assert main(["models", "use", entry.name]) == 0
    adopted = animated("adopted")
    assert main(["models", "use", "previous"]) == 0
    after = animated("after")
    assert adopted[0] != before[0] and adopted[1] == entry.id
    assert after == before
    assert animated("given", "--weights", entry.name) == adopted


def test_the_command_line_lists_exports_and_imports(tmp_path, capsys):
    entry = added(tmp_path, base="default")
    assert main(["models", "use", entry.name]) == 0
    assert main(["models", "export", entry.name, str(tmp_path / "b.zip")]) == 0
    assert main(["models", "import", str(tmp_path / "b.zip")]) == 0
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("  default") and lines[1] == f"* {entry.name}  {entry.id}  bundle 0, from default"
    assert main(["models", "use", "nobody"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    done = subprocess.run([sys.executable, "-m", "freeavatar", "models", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "import" in done.stdout


def test_the_page_uses_the_bundle_that_is_adopted_now(tmp_path):
    before = shared_bundle()
    assert shared_bundle() is before
    entry = added(tmp_path)
    adopt_bundle(entry.name)
    assert shared_bundle().id == entry.id != before.id
    roll_back()
    assert shared_bundle().id == before.id
