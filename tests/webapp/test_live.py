"""Live: sessions and their frames, and the page in a real browser."""

import http.client
import json
import shutil
import socket
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

import app
from freeavatar.avatars import avatar_path, load_avatar
from freeavatar.errors import InputError
from freeavatar.render import Look, Renderer
from freeavatar.rig import ARKIT
from tests.heads import HeadFile
from webapp.common.avatars import add_own
from webapp.common.doors import LocalOnly
from webapp.common.replies import explained
from webapp.live import desk as desks
from webapp.live.routes import DESK, ROUTES

CHROMIUM = shutil.which("chromium")
SIZE = 160


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


@pytest.fixture
def desk():
    return desks.LiveDesk()


@pytest.fixture
def client():
    with TestClient(Starlette(routes=ROUTES)) as client:
        yield client


@pytest.fixture
def program():
    """A program that listens for iFacialMocap's text."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
        program.bind(("127.0.0.1", 0))
        program.settimeout(20)
        yield program


def url_of(program: socket.socket) -> str:
    return f"ifacialmocap://127.0.0.1:{program.getsockname()[1]}"


class FakeStream:
    def close(self) -> None:
        pass


def is_tracked(program: socket.socket) -> bool:
    """Whether the next datagram comes with a face."""
    return b"trackingStatus&1" in program.recv(8192)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app on a free port, with a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FREEAVATAR_HOME", str(tmp_path_factory.mktemp("served")))
        demo = app.build(["animate"])
        _, url, _ = app.launch(demo, tabs=["animate"], prevent_thread_lock=True, quiet=True)
        yield url.rstrip("/")
        demo.close()


@pytest.fixture(scope="module")
def browser(actor_frames, tmp_path_factory):
    """Chromium whose camera shows the actor's smile."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: make test installs it when root")
    from playwright.sync_api import sync_playwright

    camera = tmp_path_factory.mktemp("camera") / "smile.mjpeg"
    camera.write_bytes(jpeg(actor_frames[9]) * 30)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox", "--disable-quic", "--disable-background-networking", "--use-gl=angle",
                "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}",
            ],
        )  # fmt: skip
        yield browser
        browser.close()


def post(server: str, key: str, data: bytes, time: float) -> dict:
    connection = http.client.HTTPConnection(urlsplit(server).netloc)
    connection.request("POST", f"/live/frame/{key}?time={time}&language=en", data)
    return json.loads(connection.getresponse().read())


def test_sessions_are_kept_apart_and_counted(desk, actor_frames, monkeypatch):
    monkeypatch.setattr(desks, "MOST_SESSIONS", 2)
    one, two = desk.start({"avatars": ["ines"]})["key"], desk.start({"avatars": ["pip", "moss"]})["key"]
    with pytest.raises(InputError, match="2 visitors are live"):
        desk.start({})
    frame = {"jpeg": jpeg(actor_frames[9]), "time": 1.0}
    answers = [desk.step({**frame, "key": key}) for key in (one, two)]
    assert all(answer["found"] and answer["placement"] == "good" for answer in answers)
    assert [list(answer["avatars"]) for answer in answers] == [["ines"], ["pip", "moss"]]
    assert len(answers[1]["avatars"]["moss"]["controls"]) == len(load_avatar("moss").target_names)
    desk.stop({"key": one})
    with pytest.raises(InputError, match="has ended"):
        desk.step({**frame, "key": one})


def test_settings_and_cast_change_between_frames_and_late_frames_are_left_out(desk, actor_frames):
    key, frame = desk.start({"smoothing": 0})["key"], {"jpeg": jpeg(actor_frames[9])}
    smiling = desk.step({**frame, "key": key, "time": "1.0"})["avatars"]["ines"]
    assert max(smiling["controls"]) > 0.2
    desk.change({"key": key, "avatars": ["kofi"], "gain": 0, "head": False, "look": {"framing": "bust"}})
    still = desk.step({**frame, "key": key, "time": "1.1"})
    assert not any(still["avatars"]["kofi"]["controls"] + still["avatars"]["kofi"]["head"])
    assert still["look"] == {"framing": "bust", "mirrored": True}
    assert desk.step({**frame, "key": key, "time": "1.05"}) == {"is_late": True}
    with pytest.raises(InputError, match="no region 'ears'"):
        desk.change({"key": key, "regions": {"ears": 1}})


def test_a_visitor_who_comes_back_keeps_the_key_and_windows_do_not_tell_it(desk):
    opened = desk.start({})
    assert desk.start({"key": opened["key"]}) == opened and opened["key"] not in opened["watch"]
    assert desk.start({"key": "short"})["key"] != "short"
    with pytest.raises(InputError, match="has ended"):
        desk.step({"key": opened["watch"], "jpeg": b"", "time": 0})


def test_other_programs_get_every_step_until_they_are_switched_off_or_the_session_ends(desk, actor_frames, program):
    key, frame = desk.start({"avatars": ["kofi", "ines"]})["key"], {"jpeg": jpeg(actor_frames[9])}
    urls = [url_of(program), "vmc://localhost:9", "vrchat://[::1]:9"]
    desk.send({"key": key, "urls": urls})
    desk.step({**frame, "key": key, "time": 1})
    assert is_tracked(program)
    desk.send({"key": key, "urls": urls[1:]})
    assert [is_tracked(program), is_tracked(program)] == [True, False]  # a face at rest, then none
    desk.send({"key": key, "urls": urls})
    desk.step({**frame, "key": key, "time": 2})
    desk.stop({"key": key})
    assert [is_tracked(program) for _ in range(3)] == [True, True, False]
    with pytest.raises(InputError, match="has ended"):
        desk.send({"key": key, "urls": urls})


def test_a_visitor_who_is_gone_sends_no_more(desk, program, monkeypatch):
    monkeypatch.setattr(desks, "IDLE", 0.1)
    key = desk.start({})["key"]
    desk.send({"key": key, "urls": [url_of(program)]})
    assert [is_tracked(program), is_tracked(program)] == [True, False]
    with pytest.raises(InputError, match="has ended"):
        desk.step({"key": key})


@pytest.mark.parametrize("host", ["192.168.1.20", "example.org", "0.0.0.0", "localhost.example.org", "2130706433"])
def test_streams_go_to_this_machine_unless_another_is_allowed(desk, host, program):
    key, sent = desk.start({})["key"], explained(desk.send)
    allowed = url_of(program)
    reply = sent({"key": key, "language": "zh", "urls": [allowed, f"vmc://{host}:39539"]})
    assert host in reply["error"] and "--send-host" in reply["error"] and "不能发送" in reply["error"]
    assert "error" in sent({"key": key, "urls": ["vnc://127.0.0.1"]})
    assert "8 programs at most" in sent({"key": key, "urls": [f"vmc://127.0.0.1:{k}" for k in range(1, 10)]})["error"]
    desk.close()
    program.settimeout(0.05)
    with pytest.raises(TimeoutError):
        program.recv(8192)  # a refusal opens no stream


def test_a_host_that_the_app_was_started_with_is_allowed(desk, monkeypatch):
    opened = []
    monkeypatch.setattr("webapp.live.streams.open_stream", lambda url: opened.append(url) or FakeStream())
    key, desk.send_hosts = desk.start({})["key"], {"192.168.1.20"}
    desk.send({"key": key, "urls": ["vmc://192.168.1.20"]})
    assert opened == ["vmc://192.168.1.20"]
    with pytest.raises(InputError, match=r"may not send to 192\.168\.1\.21"):
        desk.send({"key": key, "urls": ["vmc://192.168.1.21"]})


@pytest.mark.parametrize("broken", [b"", b"no picture", b"\xff\xd8\xff\xe0" + b"0" * 100])
def test_broken_frames_are_refused_in_words(client, broken):
    key = DESK.start({})["key"]
    reply = client.post(f"/live/frame/{key}?time=1&language=zh", content=broken).json()
    assert "浏览器" in reply["error"]
    assert client.post(f"/live/frame/{key}", content=b"0" * (desks.LARGEST_FRAME + 1)).status_code == 413
    large = jpeg(np.zeros((2000, 2000, 3), np.uint8))
    assert "2000 x 2000" in client.post(f"/live/frame/{key}?time=1", content=large).json()["error"]
    assert "error" in client.post(f"/live/frame/{key}?time=nan", content=jpeg(np.zeros((64, 64, 3), np.uint8))).json()
    DESK.stop({"key": key})


def test_avatars_are_served_with_what_draws_them_and_other_files_are_not(client, tmp_path, monkeypatch):
    mine = tmp_path / "head.glb"
    shutil.copyfile(avatar_path("pip"), mine)
    monkeypatch.chdir(tmp_path)
    assert client.get("/live/avatars/head.glb.json").status_code == 404
    name, _ = add_own(mine)
    for avatar in ("pip", name):
        told = client.get(f"/live/avatars/{avatar}.json").json()
        assert told["controls"] == list(load_avatar("pip").target_names)
        assert client.get(f"/live/avatars/{told['url']}").content == avatar_path(avatar).read_bytes()
    for wrong in ("nobody.glb", "nobody.json", "..%2F..%2Fpyproject.toml.glb"):
        assert client.get(f"/live/avatars/{wrong}").status_code == 404


def test_without_a_password_frames_from_elsewhere_are_refused():
    with TestClient(
        Starlette(routes=ROUTES, middleware=[Middleware(LocalOnly)]), base_url="http://127.0.0.1"
    ) as client:
        assert client.get("/live/avatars/ines.json").status_code == 200
        away = {"origin": "https://elsewhere.example"}
        assert client.post("/live/frame/key?time=1", content=b"x", headers=away).status_code == 403


def test_the_stage_draws_what_our_renderer_draws(browser, server, tmp_path):
    own, _ = add_own(HeadFile().save(tmp_path / "egg.glb"))
    page = browser.new_page(viewport={"width": SIZE, "height": SIZE})
    page.goto(f"{server}/live/watch/nobody")
    page.wait_for_function("window.stage")
    weights = np.zeros(len(ARKIT), np.float32)
    weights[[ARKIT.index(name) for name in ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "browInnerUp")]] = 0.6
    for name, framing in (("moss", "bust"), ("kofi", "face"), (own, "bust")):
        avatar = load_avatar(name)
        controls, head = avatar.control_weights(weights[None])[0], np.array([18.0, 6.0, 5.0])
        page.evaluate(
            """async ([name, framing, controls, head]) => {
                Object.assign(stage, {isPaused: true, scale: 0});
                stage.resize();
                await stage.cast([name]);
                stage.show({framing, isMirrored: false});
                stage.pose(name, controls, head, true);
                Object.assign(stage, {wasDrawn: false, rest: 0});
                stage.step(performance.now() / 1000);
            }""",
            [name, framing, controls.tolist(), head.tolist()],
        )
        shot = cv2.imdecode(np.frombuffer(page.screenshot(omit_background=True), np.uint8), cv2.IMREAD_UNCHANGED)
        renderer = Renderer(avatar)
        look, camera = Look((SIZE, SIZE), background=None), renderer.camera(framing)
        ours = renderer.picture(controls, head, look=look, camera=camera)[..., [2, 1, 0, 3]]
        both = (shot[..., 3] == 255) & (ours[..., 3] == 255)
        assert np.abs(shot[..., 3].astype(int) - ours[..., 3]).mean() < 2
        assert np.abs(shot[both].astype(int) - ours[both]).mean() < 3
    page.close()


def test_a_window_shows_what_its_session_plays_on_a_transparent_page(browser, server, actor_frames):
    opened = DESK.start({"avatars": ["moss"], "look": {"framing": "bust", "mirrored": False}, "smoothing": 0})
    page = browser.new_page(viewport={"width": SIZE, "height": SIZE})
    page.goto(f"{server}/live/watch/{opened['watch']}")
    page.wait_for_function("window.stage")
    page.wait_for_timeout(300)
    reply = post(server, opened["key"], jpeg(actor_frames[9]), 1.0)
    page.wait_for_function("stage.actors.get('moss')?.scene && stage.drawn > 2", timeout=60_000)
    assert page.evaluate("[stage.framing, stage.isMirrored]") == ["bust", False]
    assert page.evaluate("stage.poses.get('moss').goal.controls") == reply["avatars"]["moss"]["controls"]
    shot = cv2.imdecode(np.frombuffer(page.screenshot(omit_background=True), np.uint8), cv2.IMREAD_UNCHANGED)
    assert shot[2, 2, 3] == 0 and shot[SIZE // 2, SIZE // 2, 3] == 255
    DESK.stop(opened)
    page.close()


def test_a_visitor_is_followed_calibrates_pauses_and_stops(browser, server):
    page = browser.new_page(viewport={"width": 420, "height": 800})
    page.goto(server)
    page.get_by_role("tab", name="Live").click()
    page.wait_for_selector(".fa-live-stage[data-cast=ines]", timeout=60_000)
    page.locator(".fa-live-cast button[data-name=moss]").click()
    page.wait_for_selector(".fa-live-stage[data-cast='ines moss']", timeout=60_000)
    page.locator(".fa-live-cast button[data-name=ines]").click()
    page.wait_for_selector(".fa-live-stage[data-cast=moss]")
    page.evaluate(
        "() => { document.querySelector('.fa-live').stage.isPaused = true; }"
    )  # a slow one would be in the way
    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_selector(".fa-live-rate[data-fps]", timeout=60_000)
    smile = "document.querySelector('.fa-live').stage.poses.get('moss').goal.controls"
    before = np.array(page.evaluate(smile))
    page.get_by_role("button", name="This is my neutral face").click()
    page.wait_for_selector(".fa-live-camera b:text('3')")
    page.wait_for_selector(".fa-live-say:text('Calibrated')", timeout=20_000)
    page.wait_for_timeout(1500)
    assert before.max() > 0.2 and np.array(page.evaluate(smile)).max() < 0.5 * before.max()
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(500)
    held = page.evaluate("document.querySelector('.fa-live-rate').dataset.at")
    page.wait_for_timeout(1000)
    assert page.evaluate("document.querySelector('.fa-live-rate').dataset.at") == held
    page.get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_selector(".fa-live:not(.fa-live-on)")
    assert page.get_by_role("button", name="Start the camera").is_enabled()
    page.close()


def test_a_recording_is_there_to_be_animated(browser, server):
    page = browser.new_page(viewport={"width": 420, "height": 800})
    page.goto(server)
    page.wait_for_selector("#actor input[type=file]", state="attached")
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_selector(".fa-live-on", timeout=60_000)
    page.get_by_role("button", name="Record").click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop recording").click()
    page.wait_for_selector("#actor video", timeout=30_000)
    page.wait_for_selector("#preview img", timeout=60_000)
    page.close()


def test_the_page_sends_to_other_programs_and_says_so(browser, server, program):
    page = browser.new_page(viewport={"width": 900, "height": 800})
    page.goto(server)
    page.get_by_role("tab", name="Live").click()
    page.get_by_text("Send to other programs").click()
    rows = page.locator(".fa-live-sending > div")
    address = page.get_by_role("textbox", name="Where it listens")
    page.get_by_role("combobox", name="Program").select_option("ifacialmocap")
    assert address.input_value() == "ifacialmocap://127.0.0.1:49983"
    address.fill(url_of(program))
    page.get_by_role("switch", name="Send").check()
    assert "Waits for the camera" in rows.first.inner_text()
    page.get_by_role("button", name="Start the camera").click()
    rows.get_by_text("Sends the first avatar's face").wait_for(timeout=60_000)
    assert is_tracked(program)
    page.get_by_role("button", name="One more program").click()
    address.nth(1).fill("vmc://192.168.1.20:39539")
    page.get_by_role("switch", name="Send").nth(1).click()
    rows.get_by_text("may not send to 192.168.1.20").wait_for()
    assert not page.get_by_role("switch", name="Send").nth(1).is_checked()
    page.get_by_role("switch", name="Send").first.uncheck()
    while is_tracked(program):
        pass
    page.close()
