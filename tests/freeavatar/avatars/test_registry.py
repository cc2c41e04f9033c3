"""Adding one's own avatars: what is said, what is kept, what is refused."""

import numpy as np
import pytest

from freeavatar.avatars import (
    add_avatar,
    available_avatars,
    builtin_avatars,
    load_avatar,
    portrait_of,
    registered_avatars,
    remove_avatar,
)
from freeavatar.avatars.glb import read_glb
from freeavatar.avatars.presets import PRESETS
from freeavatar.avatars.stance import find_stance
from freeavatar.errors import AvatarError, InputError
from freeavatar.rig import ARKIT
from tests.heads import HeadFile

HALF = np.sqrt(0.5)
TURNS = {
    "faces -z": [0, 1, 0, 0],
    "faces +x": [0, HALF, 0, HALF],
    "lies on its back": [-HALF, 0, 0, HALF],
    "lies on its face": [HALF, 0, 0, HALF],
    "lies on its side": [0, 0, HALF, HALF],
    "stands on its head": [0, 0, 1, 0],
}


def draw(avatar, folder):
    (folder / f"{avatar.name}.png").write_bytes(b"portrait")


def test_an_added_avatar_is_used_by_its_name_and_can_be_removed(tmp_path, user_home):
    path = HeadFile().save(tmp_path / "My Head.glb")
    added = add_avatar(path, draw=draw)
    assert added.name == "my-head" and [file.name for file in added.files] == ["my-head.glb", "my-head.png"]
    assert registered_avatars() == ["my-head"] and available_avatars() == [*builtin_avatars(), "my-head"]
    path.unlink()
    assert load_avatar("my-head").name == "my-head"
    assert portrait_of("my-head").read_bytes() == b"portrait"
    remove_avatar("my-head")
    assert registered_avatars() == [] and list((user_home / "avatars").iterdir()) == []
    assert portrait_of("my-head") is None


def test_what_is_found_is_said_in_sentences(tmp_path):
    names = [name for name in ARKIT if name not in ("tongueOut", "cheekPuff")]
    added = add_avatar(HeadFile([[*names, "smirk"]]).save(tmp_path / "a.glb"), draw=draw)
    findings = [str(finding) for finding in added.findings]
    assert "2 of ARKit's 52 blendshapes move nothing: cheekPuff, tongueOut." in findings
    assert "1 morph targets are not driven: smirk." in findings
    assert "It stands upright and faces +z." in findings and "The head is 0.20 m high." in findings
    assert "No joint is named head, so the whole of node 0 turns with the actor's head." in findings
    assert any(text.startswith("50 controls are driven: eyeBlinkLeft, ") for text in findings)
    assert findings[0].startswith("408 vertices, 768 triangles, 0.")


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (100, "these look like centimetres"),
        (10, "decimetres"),
        (1000, "millimetres"),
        (1e5, "expected were 0.1 to 0.5"),
    ],
)
def test_other_units_are_named_and_work(scale, words, tmp_path):
    findings = add_avatar(HeadFile(scale=scale).save(tmp_path / "a.glb"), draw=draw).findings
    assert any(words in str(text) for text in findings), findings
    low, high = load_avatar("a").face_box
    assert high[1] - low[1] == pytest.approx(0.12 * scale, rel=0.5)


@pytest.mark.parametrize("names", [ARKIT, tuple(PRESETS)], ids=["arkit", "vrm"])
@pytest.mark.parametrize("words", TURNS)
def test_a_head_that_lies_or_looks_elsewhere_is_turned_in_the_copy(words, names, tmp_path):
    upright = read_glb(HeadFile([names]).save(tmp_path / "upright.glb"))
    file = HeadFile([names])
    file.add_root(rotation=TURNS[words], translation=[0.0, 0.0, 0.0])
    path = file.save(tmp_path / "a.glb")
    with pytest.raises(AvatarError, match=f"{words.replace('+', '.')}.*avatars add"):
        load_avatar(path)
    added = add_avatar(path, draw=draw)
    assert any(words in str(text) and "turned upright in the copy" in str(text) for text in added.findings)
    turned = load_avatar("a")
    np.testing.assert_allclose(turned.positions, upright.positions, atol=1e-6)
    np.testing.assert_allclose(turned.target_positions, upright.target_positions, atol=1e-6)


def test_sides_that_are_swapped_are_mentioned(tmp_path):
    swapped = [name.replace("Left", "?").replace("Right", "Left").replace("?", "Right") for name in ARKIT]
    file = HeadFile()
    file.gltf.meshes[0].extras = {"targetNames": swapped}
    avatar = read_glb(file.save(tmp_path / "a.glb"))
    assert find_stance(avatar).is_mirrored and find_stance(avatar).is_upright


def test_avatars_that_ship_stand_upright():
    for name in builtin_avatars():
        stance = find_stance(load_avatar(name))
        assert stance.is_upright and not stance.is_mirrored and 0.15 < stance.height < 0.35


def test_a_taken_name_needs_replace_and_replacing_leaves_the_new_one(tmp_path, user_home):
    first, second = HeadFile().save(tmp_path / "a.glb"), HeadFile(scale=2).save(tmp_path / "b.glb")
    add_avatar(first, draw=draw)
    with pytest.raises(InputError, match="--replace"):
        add_avatar(second, draw=draw, name="a")
    add_avatar(second, draw=draw, name="a", is_replacing=True)
    assert np.ptp(load_avatar("a").positions[:, 1]) == pytest.approx(0.48)
    assert [path.name for path in (user_home / "avatars").iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["../a", "A b", "", "-a", "x" * 41, "ines"])
def test_names_that_cannot_be_used_are_refused(name, tmp_path, user_home):
    path = HeadFile().save(tmp_path / "..glb" if not name else tmp_path / "a.glb")
    with pytest.raises(InputError, match="name"):
        add_avatar(path, draw=draw, name=name or None)
    assert not (user_home / "avatars").exists()


def test_nothing_is_kept_when_drawing_fails(tmp_path, user_home):
    path = HeadFile().save(tmp_path / "a.glb")
    add_avatar(path, draw=draw)

    def fail(avatar, folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left"):
        add_avatar(path, draw=fail, is_replacing=True)
    assert [p.name for p in (user_home / "avatars").iterdir()] == ["a"] and portrait_of("a") is not None


@pytest.mark.parametrize("name", ["ines", "nobody", "../../x"])
def test_only_what_was_added_can_be_removed(name):
    with pytest.raises(InputError, match="name"):
        remove_avatar(name)


def test_an_unknown_name_lists_added_avatars_too(tmp_path):
    add_avatar(HeadFile().save(tmp_path / "robin.glb"), draw=draw)
    with pytest.raises(AvatarError, match="robin"):
        load_avatar("nobody")
