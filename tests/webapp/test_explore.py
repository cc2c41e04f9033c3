"""The Explore tab: its handlers, and journeys in a real browser."""

import base64
import json
import shutil
import time
import urllib.parse

import cv2
import numpy as np
import pytest
import torch

import app
from annotation.store.store import Store
from freeavatar.errors import FaceError, InputError, WeightsError
from freeavatar.models import DEFAULT_WEIGHTS
from freeavatar.models.bundle import complete_bundle
from freeavatar.networks import load_bundle, save_bundle
from tests.labels import add_annotators, make_desk, make_store
from webapp.common import doors
from webapp.explore.desk import Explorer
from webapp.explore.jobs import Jobs
from webapp.explore.pool import label_of, read_judgements

CHROMIUM = shutil.which("chromium")
DEFAULT = {"bundle": "default"}
OWN, OWN_CLIP = f"explore-{'0' * 32}.png", f"explore-{'0' * 32}.mp4"
"""Names of uploads of the page."""


def unpack(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def finished(desk: Explorer, job: dict) -> dict:
    """The end of a job."""
    for _ in range(600):
        found = desk.job(job)
        if found["state"] not in ("waiting", "running"):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def opened(desk: Explorer, bundle: str = "default") -> dict:
    """A request for the pool, all of it embedded."""
    if desk.open({"bundle": bundle})["missing"]:
        assert finished(desk, desk.embed({"bundle": bundle}))["state"] == "done"
    return {"bundle": bundle, "token": desk.open({"bundle": bundle})["token"], "avatars": ["ines"]}


def a_pool(folder, count: int = 40) -> Store:
    store = make_store(folder / "labels.db", count)
    store.set("builtin", True)  # nothing is rendered in the background
    return store


def answer(store: Store, count: int) -> None:
    """Two annotators who call the first face the odd one."""
    add_annotators(store, "ada", "bob")
    store.set("label", {"check_share": 0.0, "random_share": 0.0, "grid_share": 0.0})
    desk = make_desk(store)
    for _ in range(count):
        for who in ("ada", "bob"):
            asked = desk.ask(who)
            desk.answer(asked.lease, "choice", [asked.shown.index(0)])


def other_bundle(folder):
    """A bundle like the default with another embedding."""
    bundle = load_bundle()
    with torch.no_grad():
        noise = torch.randn(bundle.encoder.embed.weight.shape, generator=torch.Generator().manual_seed(0))
        bundle.encoder.embed.weight += noise * bundle.encoder.embed.weight.std()
    complete_bundle(save_bundle(folder, bundle))


@pytest.fixture
def desk(tmp_path):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    return Explorer(a_pool(tmp_path), uploads=uploads)


@pytest.fixture(scope="module")
def face(actor_frames, tmp_path_factory):
    """A picture of a face."""
    path = tmp_path_factory.mktemp("pictures") / "smile.png"
    cv2.imwrite(str(path), actor_frames[9][..., ::-1])
    return path


def test_the_pool_is_embedded_opened_and_drawn(desk):
    first = desk.open(DEFAULT)
    assert first["count"] == 0 and first["missing"] == 40
    request = opened(desk)
    found, drawn = desk.open(DEFAULT), desk.map(request)
    assert found["count"] == 40 and unpack(drawn["points"], "f4").shape == (80,) and drawn["dims"] == 2
    assert 0 < drawn["trust"] <= 1 and found["clusters"] == 4 and found["captions"][3] == "3.png"
    assert sorted(unpack(found["cells"], "u4")) == list(range(40))
    assert [column["name"] for column in found["columns"]] == ["cluster", "kind"]  # nothing else is known
    assert desk.sheet(request)["url"].startswith("data:image/jpeg;base64,")


def test_a_click_finds_neighbours_a_rig_and_avatars(desk):
    request = opened(desk) | {"ref": "p:7"}
    found = desk.looking.look(request)
    assert len(found["near"]) == 8 and len(found["far"]) == 4 and "p:7" not in [n["ref"] for n in found["near"]]
    assert [n["distance"] for n in found["near"]] == sorted(n["distance"] for n in found["near"])
    np.testing.assert_allclose(found["point"], unpack(desk.map(request)["points"], "f4")[14:16], atol=1e-5)
    decoded = desk.looking.decode(request)
    assert len(decoded["rig"]) == 52 and decoded["pictures"][0]["avatar"] == "ines"
    assert len(desk.looking.morph(request | {"first": "p:7", "last": "p:8"})["pictures"]) == 9


def test_a_search_lands_among_its_neighbours_and_keeps_no_file(desk, face, tmp_path):
    upload, theirs = tmp_path / "uploads" / OWN, tmp_path / "uploads" / "smile.png"
    shutil.copy(face, upload)
    shutil.copy(face, theirs)
    ref = desk.looking.find({"path": str(upload), "name": "smile.png"})["ref"]
    found = desk.looking.look(opened(desk) | {"ref": ref})
    assert found["caption"] == "smile.png" and len(found["near"]) == 8 and not upload.exists()
    cv2.imwrite(str(upload), np.full((200, 200, 3), 90, np.uint8))
    for path in (face, theirs):  # outside the uploads, and another tab's
        with pytest.raises(InputError, match="did not arrive"):
            desk.looking.find({"path": str(path)})
    assert theirs.exists()
    with pytest.raises(FaceError, match="no face was found in grey"):
        desk.looking.find({"path": str(upload), "name": "grey.png"})


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_images_make_a_small_map_or_a_sentence(tmp_path, count):
    desk = Explorer(a_pool(tmp_path, count), uploads=tmp_path)
    request = opened(desk)
    assert desk.open(DEFAULT)["count"] == count
    assert unpack(desk.map(request)["points"], "f4").tolist() == [0.0, 0.0] * count
    end = finished(desk, desk.map(request | {"method": "umap"}))
    assert end["state"] == "failed" and "needs at least 12 different faces" in end["words"]
    if count:
        assert desk.looking.look(request | {"ref": "p:0"})["near"] == []
    with pytest.raises(InputError, match="fewer than three images"):
        desk.looking.compare(request | {"other": request["token"]})
    assert json.dumps(desk.export(request | {"kind": "csv"}))


def test_identical_images_are_one_place_and_one_cluster(tmp_path):
    store = a_pool(tmp_path, 20)
    with store.write() as db:
        db.execute("update images set crop = (select crop from images limit 1)")
    desk = Explorer(store, uploads=tmp_path)
    request = opened(desk)
    assert not unpack(desk.map(request)["points"], "f4").any() and desk.map(request)["trust"] is None
    assert desk.open(DEFAULT)["clusters"] == 1
    assert {n["distance"] for n in desk.looking.look(request | {"ref": "p:0"})["near"]} == {0.0}


def test_a_bundle_without_a_decoder_draws_map_and_path_and_says_what_it_lacks(desk, user_home, short_clip, tmp_path):
    half = user_home / "bundles" / "half"
    half.mkdir(parents=True)
    for name in ("config.json", "encoder.safetensors", "encoder.onnx"):
        shutil.copy(DEFAULT_WEIGHTS / name, half)
    request = opened(desk, "half")
    assert desk.map(request)["dims"] == 2 and len(desk.looking.look(request | {"ref": "p:0"})["near"]) == 8
    with pytest.raises(WeightsError, match="the bundle half has no decoder"):
        desk.looking.decode(request | {"ref": "p:0"})
    upload = shutil.copy(short_clip, tmp_path / "uploads" / OWN_CLIP)
    end = finished(desk, desk.moving.trace(request | {"path": str(upload), "name": "a.mp4"}))
    path = desk.moving.clip(request | end["result"])
    assert [track["name"] for track in path["tracks"]] == ["actor"]
    assert desk.moving.clip(opened(desk) | end["result"])["name"] == "a.mp4"  # one encoder is one space
    about = user_home / "explore" / "clips" / end["result"]["clip"] / "path.json"
    about.write_text(about.read_text().replace(request["token"].split("-")[0], "another"))
    assert "drawn under another bundle" in desk.moving.clip(request | end["result"])["elsewhere"]


def test_two_bundles_show_what_changed_and_what_annotators_say(tmp_path, user_home):
    store = a_pool(tmp_path)
    answer(store, 6)
    judged = read_judgements(store, [f"{k:032x}" for k in range(40)])
    assert len(judged.triplets) == 6 and judged.is_mutual.all()
    other_bundle(user_home / "bundles" / "mine")
    desk = Explorer(store, uploads=tmp_path)
    one, two = opened(desk), opened(desk, "mine")
    found = desk.looking.compare(one | {"other": two["token"]})
    change = unpack(found["change"], "f4")
    assert 0 < change.mean() < 1 and found["triplets"] == 6 and max(found["wrong"]) <= 6
    assert found["wrong"][0] - found["both_wrong"] == len(found["only"][0])
    lists = desk.looking.neighbours(one | {"other": two["token"], "ref": found["most_changed"][0]})["lists"]
    mine, theirs = ({face["ref"] for face in side} for side in lists)
    assert {face["ref"] for face in lists[0] if face["is_new"]} == mine - theirs != set()
    same = desk.looking.compare(one | {"other": one["token"]})
    assert same["mean_change"] == 0 and same["only"] == [[], []]
    onto = unpack(desk.map(two | {"onto": one["token"]})["points"], "f4")
    assert not np.allclose(onto, unpack(desk.map(two)["points"], "f4"))


def test_a_clip_is_drawn_looked_at_and_dropped(desk, short_clip, tmp_path, user_home):
    upload = tmp_path / "uploads" / OWN_CLIP
    shutil.copy(short_clip, upload)
    request = opened(desk)
    end = finished(desk, desk.moving.trace(request | {"path": str(upload), "name": "a.mp4"}))
    assert end["state"] == "done" and not upload.exists()
    clip = end["result"]["clip"]
    path = desk.moving.clip(request | {"clip": clip})
    assert [track["name"] for track in path["tracks"]] == ["actor", "ines"] and len(path["tracks"][1]["worst"]) == 1
    faces = desk.moving.moment(request | {"clip": clip, "moment": 3})["faces"]
    assert [face["name"] for face in faces] == ["actor", "ines"] and faces[1]["distance"] > 0
    assert len(desk.looking.look(request | {"ref": f"c:{clip}:actor:3"})["near"]) == 8
    desk.moving.drop({"clip": clip})
    assert not list((user_home / "explore" / "clips").iterdir())
    with pytest.raises(InputError, match="no longer there"):
        desk.moving.clip(request | {"clip": clip})
    with pytest.raises(InputError, match="not known"):
        desk.moving.drop({"clip": "../labels"})


def test_a_video_without_a_face_leaves_nothing_behind(desk, tmp_path, user_home):
    upload = tmp_path / "uploads" / OWN_CLIP
    upload.write_bytes(b"no video")
    end = finished(desk, desk.moving.trace(opened(desk) | {"path": str(upload), "name": "broken.mp4"}))
    assert end["state"] == "failed" and len(end["words"]) > 20
    assert not list((user_home / "explore" / "clips").glob("*"))


def test_forgotten_images_and_outdated_pages_get_a_sentence(desk):
    request = opened(desk)
    for wrong in ("p:400", "p:-1", "c:x", "q:none", "", "x:1"):
        with pytest.raises(InputError):
            desk.looking.look(request | {"ref": wrong})
    with pytest.raises(InputError, match="reload the page"):
        desk.map(request | {"token": "old"})
    with pytest.raises(InputError, match="there is no bundle"):
        desk.open({"bundle": "../default"})


def test_questions_are_queued_where_that_is_allowed(tmp_path):
    store = a_pool(tmp_path)
    count = "select count(*) from questions"
    closed = Explorer(store, uploads=tmp_path, may_ask=False)
    with pytest.raises(InputError, match="where the Label admin tab is served"):
        closed.ask(opened(closed) | {"indices": [0, 1, 2]})
    assert store.value(count) == 0
    allowed = Explorer(store, uploads=tmp_path)
    assert allowed.ask(opened(allowed) | {"indices": [0, 1, 2]}) == {"queued": 1}
    assert store.value(count) == 1


def test_nothing_is_shown_before_the_password(tmp_path, monkeypatch):
    monkeypatch.setattr(doors, "_WRONG_PAUSE", 0)
    desk = Explorer(a_pool(tmp_path), uploads=tmp_path, password="secret")
    acts = {act.__name__: act for act in desk.acts}
    assert acts["start"]({}) == {"is_locked": True}
    for name in acts.keys() - {"start", "enter"}:
        for key in ({}, {"key": ""}, {"key": "guess"}):
            with pytest.raises(InputError, match="give the password first"):
                acts[name](DEFAULT | key)
    with pytest.raises(InputError, match="this is not the password"):
        acts["enter"]({"password": "sesame"})
    key = acts["enter"]({"password": "secret"})
    assert acts["start"](key)["bundles"] and acts["open"](DEFAULT | key)["missing"] == 40


def test_what_is_taken_home_names_no_path_of_the_server(tmp_path):
    store = a_pool(tmp_path, 4)
    sources = ["/home/me/faces/joy/1.png", "C:\\faces\\2.png", "https://x.org/3.png", "clips/take.mp4#3"]
    with store.write() as db:
        for k, source in enumerate(sources):
            db.execute("update images set source = ? where id = ?", (source, f"{k:032x}"))
    desk = Explorer(store, uploads=tmp_path)
    request = opened(desk)
    for kind in ("list", "csv", "npz", "html"):
        data = base64.b64decode(desk.export(request | {"kind": kind})["data"])
        data = data.replace(b"\0", b"")  # NumPy's text has four bytes a letter
        assert not any(path in data for path in (b"/home/me", b"faces\\", b"joy/", b"clips/")), kind
    listed = base64.b64decode(desk.export(request | {"kind": "list"})["data"]).decode().splitlines()
    assert [line.split("\t")[1] for line in listed] == ["1.png", "2.png", "https://x.org/3.png", "take.mp4#3"]


def test_a_stopped_job_ends_and_says_so():
    jobs = Jobs()

    def steps():
        while True:
            time.sleep(0.01)
            yield None, lambda _: "Busy"

    job = jobs.start("work", steps())
    jobs.stop(job)
    for _ in range(200):
        if jobs.watch(job, "en")["state"] == "stopped":
            break
        time.sleep(0.01)
    assert jobs.watch(job, "en")["state"] == "stopped"
    with pytest.raises(InputError, match="not known any more"):
        jobs.watch("another", "en")


@pytest.mark.parametrize(
    ("source", "kind", "label"),
    [
        ("builtin:ines/smile", "render", "smile"),
        ("builtin:ines/mix 3", "render", "mix"),
        ("faces/anger/1.jpg", "photo", "anger"),
        ("faces.zip/1.jpg", "photo", ""),
        ("https://x.org/a/1.jpg", "photo", ""),
        ("clips/a.mp4#3", "frame", ""),
    ],
)
def test_labels_are_what_people_sorted_by(source, kind, label):
    assert label_of(source, kind) == label


# ---- in a browser


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app with a pool of forty and two bundles, embedded under both."""
    home = tmp_path_factory.mktemp("served")
    store = a_pool(home)
    answer(store, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FREEAVATAR_HOME", str(home))
        other_bundle(home / "bundles" / "mine")
        demo = app.build(("label", "explore", "admin"), labels=store.path)
        _, url, _ = app.launch(demo, tabs=("label", "explore", "admin"), prevent_thread_lock=True, quiet=True)
        yield url, store
        demo.close()


@pytest.fixture(scope="module")
def visit(server):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: make test installs it when root")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
        page.set_default_timeout(180_000)
        foreign = []
        page.on("request", lambda request: foreign.append(request.url) if is_foreign(request.url) else None)
        page.goto(server[0])
        show_map(page)
        yield page
        assert not foreign
        browser.close()


@pytest.fixture
def page(visit, server, monkeypatch):
    """One visit that goes on from test to test, to a server in this process, which has one home."""
    monkeypatch.setenv("FREEAVATAR_HOME", str(server[1].path.parent))
    return visit


def is_foreign(url: str) -> bool:
    return urllib.parse.urlparse(url).hostname not in ("127.0.0.1", "localhost", None)


def show_map(page) -> None:
    page.get_by_role("tab", name="Explore", exact=True).click()
    page.wait_for_selector(".exp[data-drawn] figcaption:has-text('40 faces')")
    page.wait_for_function("document.querySelector('.exp-say').textContent === ''")


def place_of(page, index: int) -> tuple[float, float]:
    """Where a point of the map is on the screen."""
    return page.evaluate(
        """index => {
            const plot = document.querySelector('.exp-plot'), box = plot.getBoundingClientRect();
            const { xaxis, yaxis } = plot._fullLayout, { x, y } = plot.data[0];
            return [box.left + xaxis._offset + xaxis.l2p(x[index]), box.top + yaxis._offset + yaxis.l2p(y[index])];
        }""",
        index,
    )


def says(page, text: str) -> None:
    page.wait_for_selector(f".exp-say:has-text('{text}')")


def outermost(page) -> int:
    """A point no other lies upon."""
    return page.evaluate(
        """() => {
            const { x, y } = document.querySelector('.exp-plot').data[0];
            const far = (k) => Math.min(...[...x].map((_, j) => j === k ? 9 : Math.hypot(x[k] - x[j], y[k] - y[j])));
            return [...x].map((_, k) => k).sort((a, b) => far(b) - far(a))[0];
        }"""
    )


def test_the_page_asks_for_the_password_and_shows_the_map_then(server, visit, monkeypatch):
    monkeypatch.setenv("FREEAVATAR_HOME", str(server[1].path.parent))
    monkeypatch.setenv(doors.PASSWORD, "secret")
    monkeypatch.setattr(doors, "_WRONG_PAUSE", 0)
    demo = app.build(("label", "explore"), labels=server[1].path)
    _, url, _ = app.launch(demo, tabs=("label", "explore"), prevent_thread_lock=True, quiet=True)
    page = visit.context.browser.new_page()
    page.goto(url)
    page.get_by_role("tab", name="Explore", exact=True).click()
    for typed in ("sesame", "secret"):
        page.fill(".exp-door input", typed)
        page.click(".exp-door button")
        if typed == "sesame":
            page.wait_for_selector(".exp-say:has-text('not the password')")
    page.wait_for_selector(".exp[data-drawn] figcaption:has-text('40 faces')")
    page.reload()
    show_map(page)  # the tab remembers
    page.close()
    demo.close()


def test_a_point_shows_its_face_on_hover_and_its_neighbours_on_a_click(page):
    index = outermost(page)
    page.mouse.move(*place_of(page, index))
    page.wait_for_selector(f".exp-hover:visible:has-text('{index}.png')")
    page.wait_for_function("document.querySelector('.exp-hover div').style.backgroundImage.startsWith('url')")
    page.mouse.click(*place_of(page, index))
    page.wait_for_selector(f".exp-caption:has-text('{index}.png')")
    assert page.locator(".exp-near img").count() == 8 and page.locator(".exp-far img").count() == 4
    page.wait_for_selector(".exp-playing img")
    neighbour = page.locator(".exp-near .exp-small").first
    name = neighbour.get_attribute("title")
    page.click("[data-from]")
    neighbour.click()
    page.wait_for_selector(f".exp-caption:text-is('{name}')")
    page.click("[data-to]")
    page.wait_for_selector(".exp-strip")
    assert page.locator(".exp-strip img").count() == 11


def test_a_lasso_goes_to_label_and_to_files(page, server):
    _, store = server
    page.click("[data-lasso=yes]")
    box = page.locator(".exp-plot").first.bounding_box()
    corners = [(0.02, 0.1), (0.02, 0.98), (0.98, 0.98), (0.98, 0.1), (0.02, 0.1)]
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()
    page.wait_for_selector(".exp-set b:has-text('faces chosen')")
    chosen = int(page.locator(".exp-set b").inner_text().split()[0])
    assert chosen > 20
    for kind, lines in (("list", chosen), ("csv", chosen + 1)):
        with page.expect_download() as download:
            page.click(f"[data-export={kind}]")
        assert len(download.value.path().read_text().splitlines()) == lines
    with page.expect_download() as download:
        page.click("[data-export=npz]")
    with np.load(download.value.path()) as arrays:
        assert arrays["embedding"].shape == (chosen, 16)
    page.click("[data-ask]")
    says(page, "questions queued")
    assert store.value("select count(*) from questions where proposed_by = 'explore'") > 10
    page.click("[data-none]")
    page.click("[data-lasso=no]")


def test_the_saved_map_opens_without_a_server(page, tmp_path):
    with page.expect_download() as download:
        page.click("[data-save]")
    saved = tmp_path / "map.html"
    download.value.save_as(saved)
    tab = page.context.browser.new_page()
    tab.set_default_timeout(90_000)
    requests = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(saved.as_uri())
    tab.wait_for_selector("#map .plot-container")
    assert tab.evaluate("document.getElementById('map').data.reduce((n, t) => n + t.x.length, 0)") == 40
    assert not [url for url in requests if url.startswith("http")]
    tab.close()


def test_a_search_by_image_marks_where_the_face_lands(page, face, tmp_path):
    page.set_input_files("[data-find]", str(face))
    says(page, "smile.png: the ring shows")
    assert page.locator(".exp-caption").inner_text() == "smile.png" and page.locator(".exp-near img").count() == 8
    assert page.evaluate("document.querySelector('.exp-plot').data.at(-1).x.length") == 1
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), np.full((200, 200, 3), 90, np.uint8))
    page.set_input_files("[data-find]", str(grey))
    says(page, "no face was found in grey.png")


def test_a_video_draws_its_path_and_its_avatars(page, short_clip):
    page.set_input_files("[data-trace]", str(short_clip))
    page.wait_for_selector(".exp-clips .exp-worst img")
    names = page.evaluate("document.querySelector('.exp-plot').data.map(trace => trace.name)")
    assert names == ["pool", "actor", "ines", "chosen"]
    page.locator(".exp-worst button").first.click()
    page.wait_for_selector(".exp-moment figure")
    assert page.locator(".exp-moment img").count() == 2


def test_two_bundles_lie_side_by_side(page):
    page.select_option("[data-other]", "mine")
    page.wait_for_selector(".exp-pair :text('nearest neighbours change')")
    page.wait_for_selector(".exp-pair :text('triplets got wrong')")
    assert page.locator(".exp-plot:visible").count() == 2
    page.locator(".exp-pair .exp-changed .exp-small").first.click()
    page.wait_for_selector(".exp-lists .exp-new")
    page.select_option("[data-colour]", "neighbours_changed")
    page.wait_for_selector(".exp-scale")


def test_a_reload_keeps_the_view(page):
    page.select_option("[data-colour]", "kind")
    page.click("button[data-dims='3']")
    page.wait_for_function("document.querySelector('.exp-plot').data[0].type === 'scatter3d'")
    caption = page.locator(".exp-caption").inner_text()
    page.reload()
    show_map(page)
    page.wait_for_selector(f".exp-caption:has-text('{caption}')")
    page.wait_for_selector(".exp-clips .exp-worst img")
    assert page.locator("button[data-dims='3']").get_attribute("aria-pressed") == "true"
    assert page.locator("[data-colour]").input_value() == "kind"
    assert page.locator("[data-other]").input_value() == "mine" and page.locator(".exp-plot:visible").count() == 2
    page.click("[data-drop]")
    page.wait_for_function("!document.querySelector('.exp-clips article')")
