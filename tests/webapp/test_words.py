"""The page's words: complete in every language, and none too many."""

import re
from types import SimpleNamespace

import pytest

from freeavatar.pipeline import Progress
from tests.files import ROOT
from webapp.animate.running import bar
from webapp.common.words import WORDS, language_of, say


def test_every_language_has_the_same_words_with_the_same_values():
    for language, words in WORDS.items():
        assert words.keys() == WORDS["en"].keys(), language
        for key, text in words.items():
            assert sorted(re.findall(r"\{(\w+)\}", text)) == sorted(re.findall(r"\{(\w+)\}", WORDS["en"][key])), key


def test_every_word_that_the_page_uses_is_there_and_none_is_idle():
    folder = ROOT / "webapp"
    scripts = "\n".join(path.read_text() for path in [*folder.rglob("*.py"), ROOT / "app.py"])
    used = set(re.findall(r"\bword\(\"([^\"{]+)\"\)", scripts)) | set(
        re.findall(r"\bsay\(\w+(?:\(\w+\))?, \"([^\"{]+)\"", scripts)
    )
    assert used <= WORDS["en"].keys(), used - WORDS["en"].keys()
    families = {
        "region.",
        "controls.calibration.",
        "live.",
        "drawer.",
        "stage.",
        "chart.",
        "run.tracking",
        "run.rendering",
    }
    idle = {key for key in WORDS["en"] if key not in used and not any(key.startswith(family) for family in families)}
    assert not idle


@pytest.mark.parametrize(
    ("header", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("de-DE,de;q=0.9,en;q=0.8", "en"), ("fr", "en"), ("", "en")],
)
def test_the_browser_says_which_language(header, language):
    assert language_of(SimpleNamespace(headers={"accept-language": header})) == language


def test_progress_is_told_in_the_visitors_language():
    progress = Progress("tracking", 5, 10, 2.0)
    assert "5 of 10 frames" in bar(progress, "en") and "5 / 10 帧" in bar(progress, "zh")
    assert say("zh", "run.waiting", number=2) != say("en", "run.waiting", number=2)
