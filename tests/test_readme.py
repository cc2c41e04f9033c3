"""What README tells people to type exists."""

import re
import shlex

import pytest

from annotation.cli import _parser as label_parser
from freeavatar.cli import _parser
from tests.files import ROOT

COMMANDS = re.findall(r"^python -m freeavatar (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
LABEL_COMMANDS = re.findall(r"^python -m annotation (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
TARGETS = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_readme_shows_every_command():
    shown = {command.split()[0] for command in COMMANDS}
    assert shown == {"animate", "avatars", "embed", "live", "models", "people", "send"}


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_commands_parse(command):
    _parser().parse_args(shlex.split(command.split("#")[0]))


@pytest.mark.parametrize("command", LABEL_COMMANDS)
def test_readme_label_commands_parse(command):
    label_parser().parse_args(shlex.split(command.split("#")[0]))


def test_readme_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    assert {"app", "test"} <= set(TARGETS)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in TARGETS)


def test_files_readme_links_to_exist():
    for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / link).exists(), link
