"""Avatars: GLB files with named morph targets, the ones that ship and anybody's own."""

from freeavatar.avatars.avatar import Avatar, Corrective, Material, WrinkleLayer, Wrinkles
from freeavatar.avatars.cast import (
    DEFAULT_AVATAR,
    OWN,
    available_avatars,
    avatar_path,
    builtin_avatars,
    load_avatar,
    portrait_of,
    public_avatars,
    registered_avatars,
)
from freeavatar.avatars.glb import Summary, read_summary
from freeavatar.avatars.registry import Added, add_avatar, remove_avatar
from freeavatar.avatars.retarget import retarget

__all__ = [
    "DEFAULT_AVATAR",
    "OWN",
    "Added",
    "Avatar",
    "Corrective",
    "Material",
    "Summary",
    "WrinkleLayer",
    "Wrinkles",
    "add_avatar",
    "available_avatars",
    "avatar_path",
    "builtin_avatars",
    "load_avatar",
    "portrait_of",
    "public_avatars",
    "read_summary",
    "registered_avatars",
    "remove_avatar",
    "retarget",
]
