"""Which names are driven, and by what."""

import numpy as np
import pytest

from freeavatar.avatars.drive import drive_matrix, drive_rows
from freeavatar.avatars.presets import PRESETS
from freeavatar.rig import ARKIT

VRM = tuple(PRESETS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jawOpen", "jawOpen"),
        ("JAWOPEN", "jawOpen"),
        ("Jaw_Open", "jawOpen"),
        ("Face.jawOpen", "jawOpen"),
        ("head_blendShape.jawOpen", "jawOpen"),
        ("blendShape1.eyeBlink_L", "eyeBlinkLeft"),
        ("Wolf3D_Head:mouthSmileRight", "mouthSmileRight"),
        ("eyeBlink.L", "eyeBlinkLeft"),
        ("eyeBlink-r", "eyeBlinkRight"),
        ("L_eyeBlink", "eyeBlinkLeft"),
        ("mouth_left", "mouthLeft"),
        ("Teeth_jawOpen", "jawOpen"),
        ("Suzanne_jawOpen", "jawOpen"),
        ("browInnerUp_L", "browInnerUp"),
    ],
)
def test_a_blendshape_is_known_however_exporters_write_it(name, expected):
    assert drive_rows([name], {}) == {name: {expected: 1.0}}


@pytest.mark.parametrize("name", ["smirk", "jawOpen_mouthSmileLeft", "fix_jawOpen", "mouth", "Brow_Drop_L", "A", ""])
def test_other_names_rest(name):
    assert drive_rows([name], {}) == {}


def test_every_blendshape_keeps_its_own_name():
    np.testing.assert_array_equal(drive_matrix(ARKIT, {}), np.eye(52))


def test_a_guess_and_a_part_rest_beside_the_name_itself():
    names = ["jawOpen", "own_jawOpen", "Teeth.jawOpen", "browInnerUp", "browInnerUp_L"]
    assert set(drive_rows(names, {})) == {"jawOpen", "Teeth.jawOpen", "browInnerUp"}


def test_a_shape_for_both_sides_follows_their_mean_unless_the_sides_are_there():
    assert drive_rows(["eyeBlink"], {}) == {"eyeBlink": {"eyeBlinkLeft": 0.5, "eyeBlinkRight": 0.5}}
    assert set(drive_rows(["eyeBlink", "eyeBlink_L", "eyeBlink_R"], {})) == {"eyeBlink_L", "eyeBlink_R"}


def test_what_a_file_declares_goes_before_names():
    declared = {"grin": {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5, "unknown": 1.0}, "jawOpen": {"mouthClose": 1.0}}
    rows = drive_rows(["grin", "jawOpen", "happy"], declared)
    assert rows == {"grin": {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}, "jawOpen": {"mouthClose": 1.0}}


def test_presets_rest_beside_controls_that_show_the_same():
    assert set(drive_rows([*ARKIT, *VRM], {})) == set(ARKIT)
    assert set(drive_rows(VRM, {})) == set(VRM) - {"blink"}
    assert set(drive_rows(["aa", "blink"], {})) == {"aa", "blink"}


def test_old_presets_are_known_and_single_letters_only_together():
    rows = drive_rows(["Joy", "A", "I", "U", "E", "O", "Blink_L"], {})
    assert rows["Joy"] == PRESETS["happy"] and rows["U"] == PRESETS["ou"] and rows["Blink_L"] == PRESETS["blinkLeft"]
    assert "A" not in drive_rows(["A", "Joy"], {})


def played(**weights):
    """Presets above 0.11 for weights of ARKit's blendshapes; a name without side sets both."""
    arkit = np.zeros(52)
    for name, weight in weights.items():
        for full in (name, name + "Left", name + "Right"):
            if full in ARKIT:
                arkit[ARKIT.index(full)] = weight
    values = np.clip(drive_matrix(VRM, {}) @ arkit, 0, 1)
    return {name: round(float(v), 2) for name, v in zip(VRM, values, strict=True) if v > 0.11}


@pytest.mark.parametrize(
    ("weights", "shown"),
    [
        ({"jawOpen": 0.7}, {"aa": 0.91, "oh": 0.14}),
        ({"jawOpen": 0.7, "mouthClose": 0.7}, {}),
        ({"mouthPucker": 0.9}, {"ou": 0.81}),
        ({"jawOpen": 0.4, "mouthFunnel": 0.8}, {"oh": 0.72}),
        ({"mouthStretch": 0.8}, {"ih": 0.56, "ee": 0.16}),
        ({"mouthSmile": 0.9, "cheekSquint": 0.5}, {"happy": 0.91}),
        ({"mouthSmile": 0.9, "mouthUpperUp": 0.5, "mouthLowerDown": 0.4}, {"happy": 0.81}),
        ({"browDown": 0.8, "noseSneer": 0.5}, {"angry": 0.84}),
        ({"browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.6}, {"surprised": 0.94}),
        ({"mouthFrown": 0.7, "browInnerUp": 0.5}, {"sad": 0.76}),
        ({"eyeBlinkLeft": 1.0}, {"blinkLeft": 1.0}),
        ({"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8}, {"lookLeft": 0.8}),
        ({"mouthDimple": 0.6}, {"relaxed": 0.36, "ih": 0.12}),
    ],
)
def test_an_expression_of_the_actor_is_that_preset_and_hardly_another(weights, shown):
    assert played(**weights) == {name: pytest.approx(value, abs=0.011) for name, value in shown.items()}
