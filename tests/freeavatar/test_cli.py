import json
import subprocess
import sys

import numpy as np
import pytest

from freeavatar.avatars import builtin_avatars
from freeavatar.cli import main
from freeavatar.render import preview
from tests.files import ROOT
from tests.heads import HeadFile


def test_animate_lists_what_it_wrote(short_clip, tmp_path, capsys):
    options = ["--smoothing", "0.2", "--calibration", "0.1", "--framing", "bust"]
    assert main(["animate", str(short_clip), "--out", str(tmp_path), *options]) == 0
    printed = capsys.readouterr().out
    for kind in ("mp4", "csv", "json", "glb", "vrma"):
        assert f"short_ines.{kind}" in printed
    assert "10 frames animated" in printed


def test_a_bad_input_ends_with_one_sentence_and_exit_1(tmp_path, capsys):
    assert main(["animate", str(tmp_path / "gone.mp4")]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "does not exist" in captured.err


def test_avatars_are_listed_with_licences_and_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(preview, "write_previews", lambda avatar, folder: (folder / f"{avatar.name}.png").touch())
    assert main(["avatars", "--preview", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in builtin_avatars()) and "CC0-1.0" in printed
    assert {path.stem for path in tmp_path.iterdir()} == set(builtin_avatars())


def test_an_avatar_is_added_listed_animated_and_removed(short_clip, tmp_path, capsys):
    path = HeadFile([("Face.jawOpen", "Face.mouthSmile_L", "Face.mouthSmile_R")]).save(tmp_path / "my head.glb")
    assert main(["avatars", "add", str(path), "--name", "robin"]) == 0
    printed = capsys.readouterr().out
    assert "49 of ARKit's 52 blendshapes move nothing: eyeBlinkLeft, " in printed and "--avatar robin" in printed
    for file in ("robin.glb", "robin.png", "robin_targets.png", "robin_combinations.png"):
        assert file in printed
    assert main(["avatars"]) == 0
    assert "robin          3 controls (own)" in capsys.readouterr().out
    assert main(["animate", str(short_clip), "--avatar", "robin", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "short_robin.glb").exists()
    assert main(["avatars", "remove", "robin"]) == 0
    capsys.readouterr()
    assert main(["avatars", "remove", "robin"]) == 1
    assert "no avatar 'robin' was added" in capsys.readouterr().err


def test_regions_ranges_and_profiles_are_options_of_animate(short_clip, tmp_path, capsys):
    command = ["animate", str(short_clip), "--out", str(tmp_path), "--start", "0.2", "--end", "0.3"]
    saved = [
        "--calibration",
        "0.25",
        "--region",
        "brows=0",
        "--region",
        "mouth=1.3",
        "--save-profile",
        str(tmp_path / "ada.json"),
    ]
    assert main([*command, *saved]) == 0
    printed = capsys.readouterr().out
    assert "short.take.npz" in printed and "ada.json" in printed and "3 frames animated" in printed
    settings = json.loads((tmp_path / "short_ines.json").read_text())["settings"]
    assert (settings["regions"]["brows"], settings["regions"]["mouth"], settings["regions"]["jaw"]) == (0, 1.3, 1)
    again = ["animate", str(tmp_path / "short.take.npz"), "--out", str(tmp_path / "again")]
    assert main([*again, "--profile", str(tmp_path / "ada.json")]) == 0
    assert "3 frames animated" in capsys.readouterr().out


def test_a_profile_without_a_neutral_is_refused_before_the_run(tmp_path, capsys):
    gone = ["animate", str(tmp_path / "gone.mp4"), "--calibration", "none", "--save-profile", str(tmp_path / "a.json")]
    assert main(gone) == 1
    assert "no neutral to save with calibration none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--region", "ears=1"], "there is no region 'ears': use brows, eyes"),
        (["--region", "brows"], "no region with a scale, such as mouth=1.3"),
        (["--crop", "1,2,3"], "is not left,top,width,height"),
        (["--profile", "a.json", "--calibration", "none"], "not allowed with"),
    ],
)
def test_options_that_make_no_sense_are_explained(option, message, capsys):
    with pytest.raises(SystemExit):
        main(["animate", "clip.mp4", *option])
    assert message in capsys.readouterr().err


def test_people_are_listed_with_the_number_that_animate_takes(short_clip, tmp_path, capsys):
    assert main(["people", str(short_clip), "--out", str(tmp_path)]) == 0
    assert "--face 0: " in capsys.readouterr().out and (tmp_path / "face0.png").is_file()


def test_embed_writes_an_npz(short_clip, tmp_path, capsys):
    assert main(["embed", str(short_clip), "--out", str(tmp_path / "emb.npz")]) == 0
    assert "10 images, 0 without a face" in capsys.readouterr().out


def test_embed_writes_rigs_where_they_are_asked_for(short_clip, tmp_path):
    assert main(["embed", str(short_clip), "--rigs", "--out", str(tmp_path / "emb.npz")]) == 0
    rigs = np.load(tmp_path / "emb.npz")["rig"]
    assert rigs.shape == (10, 52) and 0 <= rigs.min() < rigs.max() <= 1


@pytest.mark.parametrize(
    "command",
    [[], ["animate"], ["avatars", "add"], ["embed"], ["live"], ["people"], ["send"]],
)
def test_help_works_as_a_module(command):
    done = subprocess.run(
        [sys.executable, "-m", "freeavatar", *command, "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "usage:" in done.stdout


WARMED = """
import sys
import numpy as np
from freeavatar.avatars import load_avatar
from freeavatar.cli import main
from freeavatar.render import Look, Renderer

def compiled():
    modules = [module for name, module in sys.modules.items() if name.startswith("freeavatar.render")]
    kernels = {value for module in modules for value in vars(module).values() if hasattr(value, "signatures")}
    return sum(len(kernel.signatures) for kernel in kernels)

main(["warm-up"])
before = compiled()
renderer = Renderer(load_avatar("moss"))
weights = np.full(len(renderer.avatar.target_names), 0.3, np.float32)
renderer.picture(weights, np.array([20.0, 5.0, 3.0]), look=Look((120, 160)), camera=renderer.camera("bust"))
print(before, compiled())
"""


def test_after_warm_up_nothing_is_left_to_compile():
    done = subprocess.run([sys.executable, "-c", WARMED], cwd=ROOT, capture_output=True, text=True, check=True)
    ready, counts = done.stdout.splitlines()
    before, after = map(int, counts.split())
    assert ready == "Ready." and before == after > 0
