"""The Label tab as annotators and the study's owner meet it."""

import contextlib
import json
import shutil
import sqlite3
import threading
import urllib.error
import urllib.request

import cv2
import gradio as gr
import numpy as np
import pytest

import app
from annotation.asking import desk as questions
from annotation.asking.comparing import import_comparisons
from annotation.asking.proposals import Proposal
from annotation.people.completions import read_completions
from annotation.people.consent import change_consent
from annotation.pool import builtin as pool
from annotation.store.images import Embedder
from annotation.store.maintenance import check_store
from annotation.store.settings import change_settings
from annotation.store.store import Store
from freeavatar.errors import InputError
from webapp.admin import tab as admin
from webapp.common import doors
from webapp.label import tab as label

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """A database with a small built-in pool, and a quota of six answers."""
    store = Store(tmp_path_factory.mktemp("labels") / "labels.db")
    names = {name for practice in pool.PRACTICE for name in practice[:2]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "EXPRESSIONS", {k: v for k, v in pool.EXPRESSIONS.items() if k in names})
        patch.setattr(pool, "_MIXES", 1)
        pool.fill_builtin(store, Embedder())
    change_settings(store, quota=6, grid_share=0.0)
    return store


@contextlib.contextmanager
def serving(labels, tabs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FREEAVATAR_HOME", str(labels.path.parent))
        demo = app.build(tabs, labels=labels.path)
        _, url, _ = app.launch(demo, tabs=tabs, prevent_thread_lock=True, quiet=True)
        yield url
        demo.close()


@pytest.fixture(scope="module")
def server(labels):
    """What annotators get."""
    with serving(labels, ["label"]) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: make test installs it when root")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture
def phone(browser):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    yield page
    page.close()


@pytest.fixture
def sessions(labels):
    return label.open_sessions(labels.path)


def agree(sessions, who):
    sessions.agree(who | {"consent_id": sessions.hello(who)["consent_id"]})


def practise(page):
    """From consent to the first question by keyboard alone."""
    practise_until(page, "[data-skip]")


def practise_until(page, until):
    """From consent to what follows practice."""
    page.wait_for_selector("[data-go]")
    page.locator("[data-go]").focus()
    page.keyboard.press("Enter")
    for number in (1, 2, 3):
        page.wait_for_selector(f"h2:text('Practice {number} of 3')")
        for key in "123":
            if not page.locator("[data-next]:visible").count():
                page.keyboard.press(key)
        page.wait_for_selector("[data-next]:visible")
        page.keyboard.press("Enter")
    page.wait_for_selector(until)


def test_a_visit_by_dictionaries(sessions, labels):
    met = sessions.hello({"source": "prolific", "key": "5f3a"})
    assert met["annotator"] == "prolific:5f3a" and not met["has_consented"] and met["done"] == 0
    who = {"annotator": met["annotator"], "client": "test"}
    with pytest.raises(Exception, match="no consent"):
        sessions.ask(who)
    agree(sessions, who)
    assert labels.value("select text from consents").startswith("You will see pictures")
    reply = sessions.ask(who)
    for k in range(6):
        asked = reply["question"]
        assert asked.keys() == {"lease", "form", "images"} and len(asked["images"]) == 3
        reply = sessions.answer(who | {"lease": asked["lease"], "action": "choice", "places": [k % 3], "seconds": 1})
    assert reply["done"] == 6 and len(reply["code"]) == 8
    assert sessions.hello(who)["code"] == reply["code"]
    taken_back = sessions.undo(who)
    assert taken_back["done"] == 5 and taken_back["code"] is None and taken_back["question"]["form"] == "odd"


@pytest.mark.parametrize("key", ["", "a b", "x" * 65, "a\n"])
def test_odd_ids_are_refused(sessions, key):
    reply = label.explained(sessions.agree)({"source": "link", "key": key})
    assert "not usable" in reply["error"]


def test_wrong_requests_get_a_sentence_not_a_trace(sessions):
    act = label.explained(sessions.answer)
    assert "error" in act(None) and "error" in act({"annotator": "link:nobody", "lease": "x"})
    who = {"annotator": "link:odd"}
    agree(sessions, who)
    assert "unknown" in act(who | {"lease": "x", "action": "choice", "places": [0]})["error"]


def test_annotators_are_served_nothing_else(server):
    with urllib.request.urlopen(server + "config") as reply:
        config = json.load(reply)
    assert [c["type"] for c in config["components"] if c["type"] != "html"] == []
    assert config["dependencies"] == []


def test_the_admin_tab_is_absent_off_loopback_without_a_password(monkeypatch):
    monkeypatch.delenv(doors.PASSWORD, raising=False)
    assert doors.is_allowed("127.0.0.1") and not doors.is_allowed("0.0.0.0")
    monkeypatch.setenv(doors.PASSWORD, "secret")
    assert doors.is_allowed("0.0.0.0")


@pytest.mark.parametrize(("password", "absent"), [("", {"explore", "train", "admin"}), ("secret", set())])
def test_the_app_serves_what_changes_things_to_others_with_a_password_alone(monkeypatch, password, absent):
    monkeypatch.setenv(doors.PASSWORD, password)
    monkeypatch.setattr("sys.argv", ["app.py", "--host", "0.0.0.0", "--no-browser"])
    seen = []
    monkeypatch.setattr(app, "build", lambda tabs, **_: seen.append(tabs))
    monkeypatch.setattr(app, "launch", lambda _, *, tabs, **options: seen.append(tabs))
    app.main()
    assert seen == [[name for name in app.TABS if name not in absent]] * 2


@pytest.mark.parametrize(
    ("headers", "is_from_here"),
    [
        ({}, True),
        ({"Host": "localhost:7860", "Origin": "http://localhost:7860"}, True),
        ({"X-Forwarded-For": "203.0.113.9"}, False),
        ({"Forwarded": "for=203.0.113.9"}, False),
        ({"Host": "faces.example.org"}, False),
        ({"Origin": "https://faces.example.org"}, False),
    ],
)
def test_without_a_password_a_proxy_on_this_machine_opens_no_door(labels, headers, is_from_here, monkeypatch):
    def status(url):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as reply:
                return reply.status, ""
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    monkeypatch.delenv(doors.PASSWORD, raising=False)
    with serving(labels, ["label", "admin"]) as url:
        code, text = status(url)
        assert code == 200 if is_from_here else (code == 403 and "FREEAVATAR_ADMIN_PASSWORD" in text)
    with serving(labels, ["label"]) as url:  # nothing to guard
        assert status(url)[0] == 200


def test_a_visit_by_keyboard_ends_with_a_code_and_outlives_a_reload(server, phone, labels):
    phone.goto(server + "?annotator=keys")
    practise(phone)
    count = "select count(*) from valid_answers where annotator_id = 'link:keys'"
    for number in range(3):
        phone.wait_for_selector(f".lab-progress :text('{number} of 6')")
        phone.keyboard.press("1")
    phone.wait_for_selector(".lab-progress :text('3 of 6')")
    phone.keyboard.press("u")
    phone.wait_for_selector(".lab-progress :text('2 of 6')")
    phone.keyboard.press("0")
    phone.wait_for_selector(".lab-progress :text('3 of 6')")
    phone.reload()
    phone.wait_for_selector(".lab-progress :text('3 of 6')")
    for number in (4, 5):
        phone.keyboard.press("2")
        phone.wait_for_selector(f".lab-progress :text('{number} of 6')")
    phone.keyboard.press("3")
    phone.wait_for_selector(".lab-code")
    assert len(phone.locator(".lab-code").inner_text()) == 8
    assert labels.value(count) == 6
    assert labels.value("select count(*) from answers where annotator_id = 'link:keys' and action = 'undo'") == 1
    assert check_store(labels) == []


def test_an_anonymous_visitor_keeps_an_id_in_the_address(server, phone):
    phone.goto(server)
    phone.wait_for_selector("[data-go]")
    first = phone.url
    assert "annotator=anonymous" in first
    phone.reload()
    phone.wait_for_selector("[data-go]")
    assert phone.url == first


def test_a_grid_is_answered_by_keyboard(server, phone, labels):
    phone.goto(server + "?annotator=grid&form=grid")
    practise(phone)
    phone.wait_for_selector("[data-send]")
    phone.keyboard.press("ArrowRight")
    phone.keyboard.press("Space")
    phone.keyboard.press("ArrowDown")
    phone.keyboard.press("Space")
    phone.keyboard.press("Enter")
    phone.wait_for_selector(".lab-progress :text('1 of 6')")
    sql = "select choice from answers where annotator_id = 'link:grid'"
    phone.keyboard.press("u")  # waits for the answer to be stored
    phone.wait_for_selector(".lab-say:has-text('taken back')")
    assert len(json.loads(labels.value(sql + " and action = 'choice'"))) == 2


def test_pages_fit_a_phone(server, phone):
    phone.goto(server + "?annotator=fit")
    practise(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    box = phone.locator("[data-face]").last.bounding_box()
    assert box["width"] > 150 and box["y"] + box["height"] < 844


def test_a_lost_connection_loses_no_answer(server, phone, labels):
    phone.goto(server + "?annotator=offline")
    practise(phone)
    phone.context.set_offline(True)
    phone.keyboard.press("1")
    phone.wait_for_selector(".fa-trouble:has-text('kept here')")
    phone.context.set_offline(False)
    phone.wait_for_selector(".lab-progress :text('1 of 6')")
    phone.wait_for_function("!document.querySelector('.fa-trouble')", timeout=20_000)
    assert labels.value("select count(*) from answers where annotator_id = 'link:offline'") == 1


@pytest.fixture
def disk(monkeypatch):
    """A disk that is full while the event is set."""
    is_full, write = threading.Event(), Store.write

    @contextlib.contextmanager
    def write_if_room(store):
        with write(store) as db:
            if is_full.is_set():
                raise sqlite3.OperationalError("database or disk is full")
            yield db

    monkeypatch.setattr(Store, "write", write_if_room)
    yield is_full
    is_full.clear()


def test_a_full_disk_loses_no_answer_not_even_across_a_reload(server, phone, labels, disk):
    phone.goto(server + "?annotator=full")
    practise(phone)
    disk.set()
    phone.keyboard.press("1")
    phone.wait_for_selector(".fa-trouble:has-text('is full: make room there')")
    phone.wait_for_selector(".fa-trouble:has-text('kept here')")
    count = "select count(*) from answers where annotator_id = 'link:full'"
    phone.reload()
    phone.wait_for_selector(".fa-trouble:has-text('kept here')")
    assert labels.value(count) == 0
    disk.clear()
    phone.wait_for_selector(".lab-progress :text('1 of 6')")
    assert labels.value(count) == 1
    phone.keyboard.press("2")
    phone.wait_for_selector(".lab-progress :text('2 of 6')")
    phone.reload()
    phone.wait_for_selector(".lab-progress :text('2 of 6')")
    assert (
        labels.value(count) == 2 and phone.evaluate("JSON.parse(localStorage['freeavatar.label']).unsent.length") == 0
    )


def test_a_fault_of_the_server_is_no_lost_connection(server, phone, monkeypatch):
    phone.goto(server + "?annotator=fault")
    practise(phone)

    def broken(*_, **__):
        raise RuntimeError("a nut is loose")

    monkeypatch.setattr(questions.Desk, "answer", broken)
    phone.keyboard.press("1")
    phone.wait_for_selector(".fa-trouble:has-text('a nut is loose')")
    assert "connection" not in phone.inner_text(".fa-trouble")


def test_a_reload_shows_the_same_question(server, phone, labels):
    phone.goto(server + "?annotator=reload")
    practise(phone)
    phone.keyboard.press("1")
    phone.wait_for_selector(".lab-progress :text('1 of 6')")
    phone.wait_for_selector("[data-face] img")
    phone.wait_for_timeout(300)
    seen = phone.locator("[data-face] img").first.get_attribute("src")
    for _ in range(2):
        phone.reload()
        phone.wait_for_selector("[data-face] img")
        assert phone.locator("[data-face] img").first.get_attribute("src") == seen
    sql = "select count(*) from leases where annotator_id = 'link:reload' and state = 'held'"
    assert labels.value(sql) <= 2  # on screen, and the next one


def test_a_study_with_nothing_left_ends_with_a_code_that_is_kept(server, phone, labels, tmp_path):
    for name in ("actor", "one", "two"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((40, 40, 3), 90, np.uint8))
    (tmp_path / "ab.csv").write_text(
        "actor,method_0,clip_0,method_1,clip_1\n" + "actor.png,ours,one.png,theirs,two.png\n" * 2
    )
    import_comparisons(labels, tmp_path / "ab.csv")
    phone.goto(server + "?annotator=pair&form=ab")
    practise(phone)
    assert axe(phone) == []
    for key in "12":
        phone.wait_for_selector(".lab-pair")
        phone.keyboard.press(key)
        phone.wait_for_timeout(300)
    phone.wait_for_selector("h2:text('All done, thank you')")
    code = phone.locator(".lab-code").inner_text()
    (given,) = [one for one in read_completions(labels) if one.annotator == "link:pair"]
    assert (given.code, given.reason, given.answers) == (code, "all asked", 2)
    assert axe(phone) == []
    phone.reload()
    phone.wait_for_selector("h2:text('All done, thank you')")
    assert phone.locator(".lab-code").inner_text() == code
    phone.goto(server + "?annotator=late&form=ab")
    with labels.write() as db:
        db.execute("update questions set is_open = 0 where form = 'ab'")
    practise_until(phone, "h2:text('All done, thank you')")
    assert not phone.locator(".lab-code").count() and check_store(labels) == []


def test_a_changed_consent_is_shown_before_the_next_question(server, phone, labels, tmp_path):
    phone.goto(server + "?annotator=consent")
    practise(phone)
    (tmp_path / "text.txt").write_text("New words.\nTaking part is voluntary.")
    change_consent(labels, tmp_path / "text.txt")
    try:
        phone.keyboard.press("1")
        phone.wait_for_selector(".lab-page :text('has changed')")
        assert phone.locator("text=New words.").count() == 1
        phone.click("[data-go]")
        phone.wait_for_selector(".lab-progress :text('1 of 6')")
        phone.keyboard.press("1")
        phone.wait_for_selector(".lab-progress :text('2 of 6')")
    finally:
        with labels.write() as db:
            db.execute("delete from settings where key = 'consent'")
    agreed = labels.rows("select consent_id from agreements where annotator_id = 'link:consent' order by id")
    assert len({row["consent_id"] for row in agreed}) == 2
    assert labels.value("select count(*) from answers where annotator_id = 'link:consent'") >= 1


@pytest.mark.parametrize("form", ["odd", "grid"])
def test_the_page_needs_no_mouse(server, phone, form):
    """Tab reaches every control, in order, and each shows that it has the focus."""
    phone.goto(f"{server}?annotator=tab{form}&form={form}")
    practise(phone)
    phone.wait_for_selector("[data-face] img")
    count = phone.locator(".lab button:enabled").count()
    reached = []
    phone.evaluate("document.activeElement.blur()")
    for _ in range(count + 4):
        phone.keyboard.press("Tab")
        reached.append(phone.evaluate(FOCUSED))
    inside = [place for place, _ in reached if place >= 0]
    assert inside[:count] == list(range(count)), reached
    assert all(width >= 2 for place, width in reached if place >= 0)


FOCUSED = """() => {
  const all = [...document.querySelectorAll(".lab button:enabled")], node = document.activeElement;
  return [all.indexOf(node), parseFloat(getComputedStyle(node).outlineWidth)];
}"""


def test_the_app_is_never_shared(monkeypatch):
    seen = {}
    monkeypatch.setenv("GRADIO_SHARE", "True")
    monkeypatch.setattr(gr.Blocks, "launch", lambda self, **options: seen.update(options))
    with gr.Blocks() as demo:
        pass
    app.launch(demo, tabs=["label"], server_name="127.0.0.1")
    assert seen["share"] is False
    with pytest.raises(TypeError):
        app.launch(demo, tabs=["label"], share=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(server, browser, theme):
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=theme)
    page.goto(f"{server}?annotator=axe{theme}&__theme={theme}")
    page.wait_for_selector(".lab-example img")
    found = axe(page)
    practise(page)
    found += axe(page)
    page.goto(f"{server}?annotator=axe{theme}&form=grid&__theme={theme}")
    page.wait_for_selector(".lab-grid")
    page.locator("[data-face]").first.click()
    found += axe(page)
    page.close()
    assert found == []


def axe(page):
    """Serious findings on a page as it stands."""
    from axe_playwright_python.sync_playwright import Axe

    return serious(Axe().run(page))


def serious(results):
    return [
        (v["id"], v["nodes"][0]["html"][:120])
        for v in results.response["violations"]
        if v["impact"] in ("serious", "critical")
    ]


def test_the_owner_signs_in_sees_the_study_and_excludes(labels, browser, monkeypatch):
    from axe_playwright_python.sync_playwright import Axe

    monkeypatch.setenv(doors.PASSWORD, "open sesame")
    with serving(labels, ["label", "admin"]) as url:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.get_by_role("tab", name="Label admin").click()
        page.locator("#admin-password input").fill("wrong")
        page.click("#admin-enter")
        page.wait_for_selector("text=not the password")
        page.locator("#admin-password input").fill("open sesame")
        page.click("#admin-enter")
        page.wait_for_selector(".adm-tile:has-text('alpha')")
        page.locator("#admin-who input").click()
        page.get_by_role("option", name="prolific:5f3a").click()
        page.click("#admin-exclude")
        page.wait_for_selector("td:has-text('excluded')")
        found = [item for item in serious(Axe().run(page)) if "adm" in item[1]]
        page.close()
    assert found == []
    assert labels.value("select reason from excluded_annotators where annotator_id = 'prolific:5f3a'")


def test_the_admin_view_needs_its_state(labels, monkeypatch):
    monkeypatch.setenv(doors.PASSWORD, "open sesame")
    with gr.Blocks() as demo:
        admin.build(labels.path, opened=demo.load)
    view = next(fn.fn for fn in demo.fns.values() if fn.fn.__name__ == "view")
    with pytest.raises(gr.Error, match="password first"):
        view(None, False)


def test_an_answer_outlives_a_failing_next_question(sessions, labels, monkeypatch):
    who = {"annotator": "link:alone"}
    agree(sessions, who)
    first, other = (sessions.ask(who)["question"]["lease"] for _ in range(2))
    request = who | {"lease": first, "action": "choice", "places": [0]}
    gone = Proposal(["f" * 32] * 3, 0.5, None, "test")  # what an index proposes whose images were forgotten
    monkeypatch.setattr(sessions._desk, "_propose", lambda *_: gone)
    for name in ("find_open", "find_gold", "find_repeat"):  # no other question, whatever is drawn
        monkeypatch.setattr(questions, name, lambda *_: None)
    reply = sessions.answer(request)
    assert reply["wait"] == questions.LOOKING and reply["done"] == 1
    assert labels.value("select id from answers where annotator_id = 'link:alone'") == reply["stored"]
    with pytest.raises(InputError, match="no answer"):
        sessions.answer(request | {"lease": other, "places": [7]})


def test_an_undo_sent_twice_takes_one_answer_back(sessions):
    who = {"annotator": "link:twice"}
    agree(sessions, who)
    reply = sessions.ask(who)
    for _ in range(2):
        reply = sessions.answer(who | {"lease": reply["question"]["lease"], "action": "choice", "places": [0]})
    first, again = (sessions.undo(who | {"done": 2}) for _ in range(2))
    assert first["done"] == again["done"] == 1 and again["question"] == first["question"]
    assert sessions.undo(who | {"done": 1})["done"] == 0


def test_answers_are_sent_after_a_refused_one(server, phone, labels):
    phone.goto(server + "?annotator=refused")
    practise(phone)
    with labels.write() as db:  # its first questions are unknown to the server now
        db.execute("delete from leases where annotator_id = 'link:refused'")
    for _ in range(20):
        phone.keyboard.press("1")
        phone.wait_for_timeout(250)
        if labels.value("select count(*) from valid_answers where annotator_id = 'link:refused'") >= 2:
            break
    assert labels.value("select count(*) from valid_answers where annotator_id = 'link:refused'") >= 2
    phone.keyboard.press("u")
    phone.wait_for_selector(".lab-say:has-text('taken back')")
    assert labels.value("select count(*) from answers where annotator_id = 'link:refused' and action = 'undo'") == 1


def test_enter_on_a_button_presses_it_and_sends_no_grid(server, phone, labels):
    phone.goto(server + "?annotator=enter&form=grid")
    practise(phone)
    phone.wait_for_selector("[data-send]")
    phone.locator("[data-face]").first.click()
    phone.locator("[data-skip]").focus()
    phone.keyboard.press("Enter")
    phone.wait_for_selector(".lab-progress :text('1 of 6')")
    phone.keyboard.press("u")
    phone.wait_for_selector(".lab-say:has-text('taken back')")
    sql = "select action from answers where annotator_id = 'link:enter' order by id"
    assert [row["action"] for row in labels.rows(sql)] == ["cant_tell", "undo"]


@pytest.mark.parametrize("tabs", [["label", "admin"], ["admin"]])
def test_on_this_machine_the_owner_sees_the_study_at_once(labels, browser, monkeypatch, tabs):
    monkeypatch.delenv(doors.PASSWORD, raising=False)
    with serving(labels, tabs) as url:
        page = browser.new_page()
        page.goto(url)
        if len(tabs) > 1:
            page.get_by_role("tab", name="Label admin").click()
        page.wait_for_selector(".adm-tile:has-text('alpha')")
        page.close()
