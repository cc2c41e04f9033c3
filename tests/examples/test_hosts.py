"""Scripts for hosts, without the hosts: files as the library reads them, names, stretches, rotations; the page."""

import importlib.util
import json
import re
import shutil
import sys
import threading
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from freeavatar.export import read_live_link_csv, read_rig_json, write_live_link_csv
from freeavatar.rig import ARKIT, Curves
from freeavatar.rotation import head_quaternion
from tests.files import ROOT

HOSTS, RESULT = ROOT / "examples" / "hosts", ROOT / "examples" / "result"
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def addon():
    """The add-on, with a stand-in for Blender."""
    types = SimpleNamespace(PropertyGroup=object, Operator=object, Panel=object, Object=object)
    spec = importlib.util.spec_from_file_location("blender_freeavatar", HOSTS / "blender_freeavatar.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "bpy", SimpleNamespace(types=types, props=MagicMock()))
        spec.loader.exec_module(module)
    return module


def assert_same(found, expected, names=None):
    np.testing.assert_allclose(found.times, expected.times, atol=1e-9)
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-6)
    np.testing.assert_allclose(found.head, expected.head, atol=1e-4)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-6)
    assert found.rate == expected.rate
    assert found.names == list(names or expected.names)


def test_json_is_read_as_the_library_reads_it(addon):
    assert_same(addon.read_curves(RESULT / "actor_ines.json"), read_rig_json(RESULT / "actor_ines.json"))


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(60)])
@pytest.mark.parametrize("frames", [1, 20, 130])
def test_csv_is_read_as_the_library_reads_it(addon, tmp_path, rate, frames):
    random = np.random.default_rng(0)
    curves = Curves(
        weights=random.random((frames, 52), np.float32), times=np.arange(frames) / float(rate), rate=rate,
        head=random.uniform(-40, 40, (frames, 3)).astype(np.float32), confidence=np.ones(frames, np.float32),
        cuts=np.zeros(frames, bool),
    )  # fmt: skip
    write_live_link_csv(curves, tmp_path / "a.csv")
    titles = [name[0].upper() + name[1:] for name in ARKIT]
    assert_same(addon.read_curves(tmp_path / "a.csv"), read_live_link_csv(tmp_path / "a.csv"), titles)


@pytest.mark.parametrize("base", [24, 25, 30, 60])
def test_timecodes_of_other_tools_count_frames_and_pass_midnight(addon, tmp_path, base):
    counts = [(23 * 3600 + 59 * 60 + 58) * base + k for k in range(5 * base)]
    stamps = [(count // base, count % base) for count in counts]
    rows = [f"{s // 3600 % 24:02}:{s // 60 % 60:02}:{s % 60:02}:{f:02}.000,1,0.5" for s, f in stamps]
    (tmp_path / "a.csv").write_text("\n".join(["Timecode,BlendShapeCount,jawOpen", *rows]))
    found = addon.read_curves(tmp_path / "a.csv")
    assert found.rate == base and found.names == ["jawOpen"]
    np.testing.assert_allclose(found.times, np.arange(5 * base) / base, atol=1e-9)


def test_wrong_files_are_refused_in_words(addon, tmp_path):
    data = json.loads((RESULT / "actor_ines.json").read_text())
    for name, text, words in (
        ("a.txt", "", "neither .json nor .csv"),
        ("a.json", "{", "not a complete FreeAvatar JSON"),
        ("b.json", "[1]", 'no "freeavatar-performance"'),
        ("c.json", json.dumps(data | {"head": data["head"][:-1]}), "differ in length"),
        ("d.json", json.dumps(data | {"times": data["times"][::-1]}), "do not increase"),
        ("e.json", json.dumps(data | {"names": 3}), "not a complete FreeAvatar JSON"),
        ("a.csv", "", "no column Timecode"),
        ("b.csv", "jawOpen\n0.5\n", "no column Timecode"),
        ("c.csv", "Timecode,jawOpen\n", "no frames"),
        ("d.csv", "Timecode,jawOpen\nnoon,0.5\n", "not a timecode"),
        ("e.csv", "Timecode,jawOpen\n00:00:00:00.000,wide\n", "not a complete Live Link Face CSV"),
        ("f.csv", "Timecode,jawOpen\n00:00:00:00.000,nan\n", "a number is missing|not a complete"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(addon.CurvesError, match=words):
            addon.read_curves(tmp_path / name)
    with pytest.raises(addon.CurvesError, match="choose a file that exists"):
        addon.read_curves(tmp_path / "none.json")


def test_names_match_in_any_case_with_underscores_and_a_shared_prefix(addon):
    for spelt in (
        lambda name: name,
        lambda name: name[0].upper() + name[1:],
        lambda name: re.sub("([A-Z])", r"_\1", name).lower(),
        lambda name: "Face.M_" + re.sub("Left$", "_L", re.sub("Right$", "_R", name)),
    ):
        shapes = [*map(spelt, ARKIT), "fix_jawOpen_mouthSmileLeft", "belly"]
        assert addon.match_names(shapes, ARKIT) == {spelt(name): place for place, name in enumerate(ARKIT)}
    assert addon.match_names(["belly"], ARKIT) == {} == addon.match_names([], ARKIT)


def test_stretches_end_with_the_first_sure_frame(addon):
    assert addon.unsure_stretches([1, 0.2, 0, 1, 1, 0.4], 0.5) == [(1, 3), (5, 6)]
    assert addon.unsure_stretches([0, 0], 0.5) == [(0, 2)]
    assert addon.unsure_stretches([1, 0.5], 0.5) == []


def test_the_head_turns_as_in_the_glb_in_blenders_axes(addon):
    for angles in np.random.default_rng(0).uniform(-60, 60, (20, 3)):
        x, y, z, w = head_quaternion(*angles)
        np.testing.assert_allclose(addon.head_quaternion(*angles), (w, x, -z, y), atol=1e-12)


def test_the_page_takes_nothing_from_the_network():
    text = (HOSTS / "three_player.html").read_text()
    (imports,) = re.findall(r'<script type="importmap">(.*?)</script>', text, re.DOTALL)
    assert all(path.startswith("./three/") for path in json.loads(imports)["imports"].values())
    assert not re.search(r"https?:|//[a-z]+\.", text)


@pytest.fixture
def page():
    """A browser on the page, served as README says."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: make test installs it when root")
    from playwright.sync_api import sync_playwright

    handler = partial(SimpleHTTPRequestHandler, directory=ROOT / "examples")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 480, "height": 480})
        page.goto(f"http://127.0.0.1:{server.server_port}/hosts/three_player.html")
        yield page
        browser.close()
    server.shutdown()
    server.server_close()


def test_the_page_plays_the_examples_curves(page):
    if not (HOSTS / "three").exists():
        page.wait_for_function("message.value.includes('README.md')")
        pytest.skip("three.js is not in examples/hosts/three")
    page.wait_for_function("!play.disabled", timeout=60000)
    page.wait_for_function("Number(seek.value) > 0")
    page.click("#play")
    assert page.text_content("#play") == "Play"
    performance = read_rig_json(RESULT / "actor_ines.json")
    for index in np.linspace(0, len(performance.times) - 1, 5).astype(int):
        weights, head = page.evaluate(
            """second => {
                seek.value = second;
                seek.oninput();
                let found, head;
                player.scene.traverse(node => {
                    if (node.morphTargetDictionary) found = node;
                    if (node.name === "head") head = node.quaternion.toArray();
                });
                const entries = Object.entries(found.morphTargetDictionary);
                return [Object.fromEntries(entries.map(([n, k]) => [n, found.morphTargetInfluences[k]])), head];
            }""",
            float(performance.times[index]),
        )
        found = [weights[name] for name in performance.names]
        np.testing.assert_allclose(found, performance.weights[index], atol=1e-4)
        np.testing.assert_allclose(head, head_quaternion(*performance.head[index]), atol=1e-4)
