"""The avatars that ship and those a user added, and finding one by name or path."""

import re
from pathlib import Path

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.glb import read_glb
from freeavatar.avatars.stance import find_stance
from freeavatar.errors import AvatarError
from freeavatar.paths import avatars_folder

DEFAULT_AVATAR = "ines"
"""The avatar used when none is named."""

OWN = re.compile(r"(.+)-[0-9a-f]{12}")
"""Names of avatars that a visitor of the page added: nobody else can guess them, and nobody else is shown them."""
_ASSETS = Path(__file__).parent / "assets"


def builtin_avatars() -> list[str]:
    """Names of the avatars that ship, the default first."""
    names = sorted(path.stem for path in _ASSETS.glob("*.glb"))
    return sorted(names, key=lambda name: name != DEFAULT_AVATAR)


def registered_avatars() -> list[str]:
    """Names of the avatars that the user added."""
    return sorted(path.stem for path in avatars_folder().glob("*/*.glb") if path.stem == path.parent.name)


def available_avatars() -> list[str]:
    """Names of all avatars: those that ship, then those the user added."""
    return [*builtin_avatars(), *registered_avatars()]


def public_avatars() -> list[str]:
    """Names of the avatars that every visitor of the page sees: all but those that visitors added for themselves."""
    return [name for name in available_avatars() if not OWN.fullmatch(name)]


def portrait_of(name: str) -> Path | None:
    """PNG with the portrait of an avatar that ships or was added; None if there is none."""
    path = _folder(name) / f"{name}.png"
    return path if name in available_avatars() and path.is_file() else None


def _folder(name: str) -> Path:
    return _ASSETS if name in builtin_avatars() else avatars_folder() / name


def avatar_path(name_or_path: str | Path) -> Path:
    """The GLB that a name or a path stands for; it may not exist."""
    text = str(name_or_path)
    return _folder(text) / f"{text}.glb" if text in available_avatars() else Path(text)


def load_avatar(name_or_path: str | Path) -> Avatar:
    """Load an avatar by name, or any GLB by path.

    Raises:
        AvatarError: no such avatar, or a file that cannot be driven or does not face +z.
    """
    text = str(name_or_path)
    path = avatar_path(text)
    if text in available_avatars():
        return read_glb(path)
    if path.suffix.lower() not in (".glb", ".vrm"):
        raise AvatarError(
            "there is no avatar {!r}: use one of {} or the path of a .glb.", text, ", ".join(public_avatars())
        )
    avatar = read_glb(path)
    if not (stance := find_stance(avatar)).is_upright:
        raise AvatarError("{} {}: add it by `avatars add {}`, which turns it upright.", path.name, stance.words, path)
    return avatar
