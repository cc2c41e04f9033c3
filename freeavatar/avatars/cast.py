"""The avatars that ship, and finding one by name or path."""

from pathlib import Path

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.glb import read_glb
from freeavatar.errors import AvatarError

DEFAULT_AVATAR = "ines"
"""The avatar used when none is named."""

_ASSETS = Path(__file__).parent / "assets"


def builtin_avatars() -> list[str]:
    """Names of the avatars that ship, the default first."""
    names = sorted(path.stem for path in _ASSETS.glob("*.glb"))
    return sorted(names, key=lambda name: name != DEFAULT_AVATAR)


def load_avatar(name_or_path: str | Path) -> Avatar:
    """Load an avatar that ships, by name, or any GLB, by path.

    Raises:
        AvatarError: no such avatar, or a file that cannot be driven.
    """
    text = str(name_or_path)
    if text in builtin_avatars():
        return read_glb(_ASSETS / f"{text}.glb")
    path = Path(name_or_path)
    if path.suffix.lower() == ".glb":
        return read_glb(path)
    raise AvatarError(f"there is no avatar {text!r}: use one of {', '.join(builtin_avatars())} or the path of a .glb.")
