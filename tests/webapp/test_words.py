"""The page's words: complete in every language, none too many, and no text beside them."""

import ast
import re
from types import SimpleNamespace

import pytest

from freeavatar.errors import InputError, Message
from freeavatar.pipeline import Progress
from tests.files import ROOT
from tests.texts import fields, messages, texts_of_python, texts_of_script
from webapp.animate.running import bar
from webapp.common.replies import explained
from webapp.common.words import MESSAGES, WORDS, language_of, say, translated

WEBAPP = ROOT / "webapp"
SCRIPTS = [path for path in sorted(WEBAPP.rglob("*.js")) if "vendor" not in path.parts]
PACKAGES = ("freeavatar", "annotation", "training", "webapp")
SCRIPT_FAMILIES = ("live.", "drawer.", "stage.", "chart.", "label.", "explore.")
"""Words of scripts, which look them up by their keys."""
FAMILIES = (
    "region.", "controls.calibration.", "controls.framing.", "controls.background.", "controls.video.", "run.tracking",
    "run.rendering", "train.preset.", "train.where.", "train.step.", "train.state.", "train.doing.", "train.row.",
    "train.head.", "train.verdict.", "train.bundle", "admin.tile.", "admin.column.", "admin.methods.",
)  # fmt: skip
"""Words whose keys are put together where they are used."""
SHADERS = WEBAPP / "common/stage/shading.js"
"""Programs of the graphics card, as text."""
NO_TEXT = {"Enter", "Place"}
"""A key of the keyboard, a class."""


def values_in(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_every_language_has_the_same_words_with_the_same_values():
    for language, words in WORDS.items():
        assert words.keys() == WORDS["en"].keys(), language
        for key, text in words.items():
            assert sorted(set(re.findall(r"\{(\w+)\}", text))) == sorted(
                set(re.findall(r"\{(\w+)\}", WORDS["en"][key]))
            ), key


def test_every_word_that_the_page_uses_is_there_and_none_is_idle():
    code = "\n".join(path.read_text() for path in [*WEBAPP.rglob("*.py"), ROOT / "app.py"])
    used = set(re.findall(r"\b(?:word|words)\(\s*['\"]([\w.]+)['\"]", code))
    used |= set(re.findall(r"\bsay\(\s*\w+(?:\(\w+\))?, ['\"]([\w.]+)['\"]", code))
    assert used <= WORDS["en"].keys(), used - WORDS["en"].keys()
    scripts = "\n".join(path.read_text() for path in SCRIPTS)
    for key in WORDS["en"].keys() - used:
        if key.startswith(SCRIPT_FAMILIES):
            name = key.partition(".")[2]
            family = name.rpartition(".")[0]
            assert re.search(rf"words\.{re.escape(name)}\b|[\"'`]{re.escape(name)}[\"'`]", scripts) or (
                f"`{family}." in scripts or name.endswith(".one") or key in code
            ), key
        else:
            assert key.startswith(FAMILIES), key


def test_every_message_of_the_libraries_is_translated_and_no_other():
    found = list(messages())
    known = set()
    for place, template, count in found:
        if not isinstance(template, ast.Constant):
            assert ast.unparse(template) in ("self.args[0]", "LOOKING.template", "row['note']"), place
            continue
        known.add(template.value)
        if count >= 0:
            assert len(fields(template.value)) == count, place
        for language, texts in MESSAGES.items():
            assert template.value in texts, (language, place)
    assert len(known) > 250
    for texts in MESSAGES.values():
        assert texts.keys() == known
        for template, text in texts.items():
            assert fields(template) == fields(text), template


def test_no_text_stands_beside_the_words():
    beside = [
        f"{path.relative_to(ROOT)}: {text}"
        for texts_of, paths in ((texts_of_python, WEBAPP.rglob("*.py")), (texts_of_script, SCRIPTS))
        for path in sorted(paths)
        for text in texts_of(path)
        if text not in NO_TEXT and path != SHADERS
    ]
    styles = "".join(path.read_text() for path in WEBAPP.rglob("*.css"))
    assert not beside and not re.findall(r"content: \"[^\"]*[A-Za-z]", styles)


def test_text_beside_the_words_would_be_found(tmp_path):
    module, script = tmp_path / "a.py", tmp_path / "a.js"
    module.write_text('"""A page."""\ngr.Button("Start", elem_id="start")\nf"<p>{x} are too few to see</p>"\n')
    assert list(texts_of_python(module)) == ["Start", "are too few to see"]
    script.write_text('show(`<h2 title="Say so">Thank you</h2><b>${a ? `${b}` : ""}</b>`); const key = "odd";\n')
    assert set(texts_of_script(script)) == {"Say so", "Thank you"}


@pytest.mark.parametrize(
    ("header", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("de-DE,de;q=0.9,en;q=0.8", "en"), ("fr", "en"), ("", "en")],
)
def test_the_browser_says_which_language(header, language):
    assert language_of(SimpleNamespace(headers={"accept-language": header})) == language


def test_progress_is_shown_in_the_visitors_language():
    progress = Progress("tracking", 5, 10, 2.0)
    assert "5 of 10 frames" in bar(progress, "en") and "5 / 10 帧" in bar(progress, "zh")
    assert say("zh", "run.waiting", number=2) != say("en", "run.waiting", number=2)


def test_messages_are_translated_with_what_they_hold():
    inner = InputError("{} does not exist: give a labels file.", "a.csv")
    assert translated(inner, "zh") == str(inner) == "a.csv does not exist: give a labels file."  # nobody translated it
    stands = Message("It {}.", (Message("stands upright and faces +z"),))
    assert str(stands) == "It stands upright and faces +z." and translated(stands, "zh") == "它直立并面向 +z。"
    assert str(InputError("a brace { alone")) == "a brace { alone"


def test_a_script_gets_errors_and_messages_in_its_language():
    unknown = "this face is not known any more: reload the page."

    def act(request):
        if request.get("fails"):
            raise InputError(unknown)
        return {"rows": [{"note": Message("There is no answer to take back.")}], "count": 1}

    acted = explained(act)
    assert acted({"language": "zh", "fails": True}) == {"error": MESSAGES["zh"][unknown], "is_temporary": False}
    assert acted({"language": "xx", "fails": True}) == {"error": unknown, "is_temporary": False}
    assert acted({"language": "zh"}) == {"rows": [{"note": "没有可撤回的回答。"}], "count": 1}
    assert acted(None)["rows"][0]["note"] == "There is no answer to take back."
