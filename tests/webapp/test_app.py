"""The app as a visitor meets it: a launched server by gradio_client, and a real browser."""

import csv
import re
import shutil
import time

import pytest
from gradio_client import Client, handle_file

import app
from webapp.animate.controls import values_of

CHROMIUM = shutil.which("chromium")
SHOWN_OF = {
    "animate": "#avatars label", "label": ".lab-main", "explore": "figcaption b", "train": "#train-time .fa-status",
    "admin": ".adm-tile",
}  # fmt: skip
"""What is there once a tab is."""
WIDTH_WHEN_LOADED = """video => new Promise(done => {
    if (video.readyState > 1) done(video.videoWidth);
    video.onloadeddata = () => done(video.videoWidth);
})"""
SLIDE = """async ([slider, value]) => {
    const picture = [...document.querySelectorAll('#stage img')].at(-1), before = picture.src;
    const input = document.querySelector(`${slider} input[type=range]`);
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
    input.dispatchEvent(new Event('input', {bubbles: true}));
    for (let k = 0; k < 600 && picture.src === before; k++) await new Promise(requestAnimationFrame);
    return picture.src !== before;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app on a free port, with a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FREEAVATAR_HOME", str(tmp_path_factory.mktemp("served")))
        demo = app.build()
        _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True)
        yield url
        demo.close()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: make test installs it when root")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox", "--disable-quic", "--disable-background-networking",
                "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            ],
        )  # fmt: skip
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser, server):
    """A browser page on the app."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    page.goto(server)
    page.wait_for_selector("#animate")
    yield page
    page.close()


def upload(page, path):
    page.locator("#actor input[type=file]").first.set_input_files(str(path))
    page.wait_for_selector("#actor video", timeout=30_000)


def test_clients_get_their_own_files_and_nobody_elses(server, short_clip):
    def animate(avatars):
        clip = {"video": handle_file(str(short_clip)), "subtitles": None}
        values = values_of({})
        return Client(server, verbose=False).predict(clip["video"], 0.0, 0.0, avatars, *values, api_name="/animate")

    status, id, *_, files = animate(["ines", "kofi"])
    assert "10 frames animated" in status and len(files) == 9
    with open(next(f for f in files if f.endswith("_kofi.csv")), newline="") as file:
        assert len(list(csv.reader(file))) == 11
    _, other, *_, others = animate(["pip"])
    assert other != id and all("_pip." in path for path in others)


def test_a_visitor_previews_animates_downloads_slides_and_comes_back(page, short_clip, tmp_path):
    upload(page, short_clip)
    page.wait_for_selector("#preview img", timeout=60_000)
    page.click("#animate")
    page.wait_for_selector("#status :text('10 frames animated')", timeout=90_000)
    assert page.locator("#result video").evaluate(WIDTH_WHEN_LOADED) == 684 + 512
    page.get_by_role("tab", name="Files").click()
    with page.expect_download() as download:
        page.locator("#files tr", has_text=re.compile(r"short_ines\s*\.csv")).locator("a").click()
    download.value.save_as(tmp_path / "rig.csv")
    with (tmp_path / "rig.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 10
    page.click("#settings > button")
    page.wait_for_selector("#gain input[type=range]")
    page.get_by_role("tab", name="Moment and curves").click()
    page.wait_for_selector("#stage img")
    page.wait_for_selector("#chart .main-svg", timeout=60_000)
    assert page.evaluate(SLIDE, ["#moment-second", 0.3])
    assert page.evaluate(SLIDE, ["#gain", 0.0])
    page.wait_for_function("location.search.includes('run=')")
    page.reload()
    page.wait_for_selector("#status :text('10 frames animated')", timeout=60_000)
    page.get_by_role("tab", name="3D model").click()
    page.wait_for_selector("#model canvas", timeout=60_000)
    page.click("#settings > button")
    page.wait_for_selector("#gain input[type=range]")
    page.wait_for_timeout(1000)  # Gradio sets a slider anew just after it is first laid out: no person is that quick
    page.locator("#gain input[type=range]").press("ArrowLeft")
    page.wait_for_selector("#again:visible", timeout=30_000)


def test_a_transparent_video_is_asked_for_seen_and_taken_home(page, server, short_clip):
    page.goto(server)
    page.wait_for_selector("#animate")
    upload(page, short_clip)
    page.wait_for_selector("#preview img", timeout=60_000)
    page.click("#output > button")
    before = page.locator("#preview img").last.get_attribute("src")
    page.locator("#background").get_by_label("colour").check()
    page.locator("#background-color button").first.click()
    page.wait_for_function("src => [...document.querySelectorAll('#preview img')].at(-1)?.src !== src", arg=before)
    page.locator("#background").get_by_label("transparent").check()
    page.locator("#transparent-video").get_by_label("ProRes").check()
    assert page.locator("#background-color").count() == 0
    page.click("#animate")
    page.wait_for_selector("#status :text('10 frames animated')", timeout=90_000)
    page.get_by_role("tab", name="Files").click()
    with page.expect_download() as download:
        page.locator("#files tr", has_text=re.compile(r"short_ines\.avatar\s*\.mov")).locator("a").click()
    assert download.value.path().stat().st_size > 10_000
    page.wait_for_function("location.search.includes('run=')")
    page.reload()
    page.wait_for_selector("#status :text('10 frames animated')", timeout=60_000)
    page.click("#output > button")
    assert page.locator("#transparent-video").get_by_label("ProRes").is_checked()
    page.locator("#again").wait_for(state="hidden")


def test_a_click_on_a_portrait_chooses_the_avatar_and_another_leaves_it_out(page):
    portrait = page.locator("#avatars label", has_text="pip")
    drawn = "label => getComputedStyle(label, '::before').backgroundImage.startsWith('url(\"data:image/jpeg')"
    assert portrait.evaluate(drawn)
    for is_chosen in (True, False):
        portrait.click()
        assert portrait.locator("input").is_checked() == is_chosen


def test_cancel_stops_a_running_job(page, server, actor_clip, user_home):
    page.goto(server)
    page.wait_for_selector("#animate")
    upload(page, actor_clip)
    page.click("#animate")
    page.wait_for_selector("#status :text('Step 1 of 2')", timeout=60_000)
    page.click("#cancel")
    page.wait_for_selector("#status :text('Stopped')", timeout=30_000)
    time.sleep(2)
    assert page.locator("#status :text('Stopped')").count() == 1
    made = [path for path in (user_home / "animations").rglob("*") if path.is_file()]
    assert not made


def test_the_page_speaks_chinese_and_is_live(browser, server):
    context = browser.new_context(locale="zh-CN", permissions=["camera"], viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(server)
    page.wait_for_selector("#animate", timeout=60_000)
    assert page.locator("#animate").inner_text().strip() == "生成动画"
    page.get_by_role("tab", name="实时").click()
    page.get_by_role("button", name="打开摄像头").click()
    page.wait_for_selector(".fa-live-say:text('画面中没有人脸')", timeout=90_000)
    page.wait_for_selector(".fa-live-stage[data-cast=ines]", timeout=60_000)
    page.locator("#live video").evaluate("video => video.pause()")  # a camera that gives no more frames
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="停止").click()
    page.wait_for_selector(".fa-live:not(.fa-live-on)")
    assert page.get_by_role("button", name="打开摄像头").is_enabled()
    context.close()


def test_a_chinese_browser_sees_no_english_sentence_on_any_tab(browser, server):
    page = browser.new_page(locale="zh-CN")
    page.goto(server)
    for name in app.TABS:
        page.click(f"#tab-{name}-button")
        page.wait_for_selector(SHOWN_OF[name], timeout=60_000)
        text = page.inner_text("body")
        hint = page.evaluate("document.querySelector('.exp-panel')?.dataset.hint || ''")
        assert not re.findall(r"[A-Za-z']{2,}(?: [A-Za-z']{2,}){2,}", text + hint), name
    page.close()
