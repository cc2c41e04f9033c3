"""A user's own avatars: looked over, turned upright, kept under ``$FREEAVATAR_HOME/avatars``."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.cast import builtin_avatars, registered_avatars
from freeavatar.avatars.glb import read_glb
from freeavatar.avatars.gltf import Part, open_glb, write_glb
from freeavatar.avatars.meaning import words_about
from freeavatar.avatars.nodes import root_nodes
from freeavatar.avatars.stance import Stance, find_stance
from freeavatar.errors import AvatarError, InputError, Message, some_of
from freeavatar.files import make_folder
from freeavatar.paths import avatars_folder
from freeavatar.rotation import matrix_quaternion

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

Drawer = Callable[[Avatar, Path], None]
"""Writes an avatar's pictures into a folder: ``freeavatar.render.preview.write_previews``."""


@dataclass(frozen=True)
class Added:
    """An avatar that was added."""

    name: str
    """What to call it from now on."""
    folder: Path
    """Its GLB, portrait and sheets."""
    findings: tuple[Message, ...]
    """What was found in the file, a sentence each."""

    @property
    def files(self) -> list[Path]:
        """Every file kept."""
        return sorted(self.folder.iterdir())


def add_avatar(path: Path, *, draw: Drawer, name: str | None = None, is_replacing: bool = False) -> Added:
    """Look a GLB over, draw it, and keep a copy that can be used by its name.

    A head that lies or looks elsewhere is turned upright in the copy. Nothing is kept if something fails.

    Args:
        path: the GLB.
        draw: writes portrait and sheets.
        name: lower-case letters, digits, ``-`` and ``_``; default made from the file's name.
        is_replacing: take the place of an avatar of that name that was added before.

    Raises:
        AvatarError: the file cannot be driven.
        InputError: the name cannot be used, or the folder cannot be written.
    """
    name = _checked_name(name or _name_from(path), is_replacing)
    stance = find_stance(read_glb(path))
    target = avatars_folder() / name
    staging = make_folder(avatars_folder() / f".{name}.{uuid4().hex[:8]}.tmp")
    try:
        copy = staging / f"{name}.glb"
        _copy(path, copy, stance)
        avatar = read_glb(copy)
        draw(avatar, staging)
        findings = describe(avatar, stance, path.stat().st_size)
        _move(staging, target)
    except OSError as error:
        raise InputError(
            "cannot keep {} in {} ({}): free some space or set FREEAVATAR_HOME.", path.name, target, error.strerror
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Added(name, target, findings)


def remove_avatar(name: str) -> None:
    """Forget an avatar that was added, and delete its files.

    Raises:
        InputError: there is none of that name.
    """
    if name in builtin_avatars():
        raise InputError("{} ships with FreeAvatar and cannot be removed: name an avatar that you added.", name)
    if name not in registered_avatars():
        added = ", ".join(registered_avatars()) or "none"
        raise InputError("no avatar {!r} was added: name one of those that were ({}).", name, added)
    gone = avatars_folder() / f".{name}.{uuid4().hex[:8]}.tmp"
    try:
        (avatars_folder() / name).rename(gone)
        shutil.rmtree(gone)
    except OSError as error:
        raise InputError("cannot remove {} ({}): check the rights of {}.", name, error.strerror, gone.parent) from error


def describe(avatar: Avatar, stance: Stance, size: int) -> tuple[Message, ...]:
    """What is worth knowing of a file, a sentence each.

    Args:
        avatar: the avatar, upright.
        stance: how it stood in its file.
        size: bytes of that file.
    """
    targets, missing, unused = avatar.target_names, avatar.missing_blendshapes, avatar.unused_targets
    counts = (len(avatar.positions), len(avatar.triangles), size / 1e6)
    found = [Message("{:,} vertices, {:,} triangles, {:.1f} MB.", counts)]
    if avatar.is_arkit:
        found.append(Message("All 52 of ARKit's blendshapes are driven by their own controls."))
    else:
        found.append(Message("{} controls are driven: {}.", (len(targets), some_of(targets))))
    if avatar.correctives:
        found.append(Message("{} correctives follow them.", (len(avatar.correctives),)))
    if missing:
        found.append(Message("{} of ARKit's 52 blendshapes move nothing: {}.", (len(missing), ", ".join(missing))))
    found += words_about(avatar)
    if unused:
        found.append(Message("{} morph targets are not driven: {}.", (len(unused), ", ".join(unused))))
    if stance.is_upright:
        found.append(Message("It {}.", (stance.words,)))
    else:
        found.append(Message("It {}: turned upright in the copy.", (stance.words,)))
    found += [stance.size_words, _head_words(avatar)]
    if stance.is_mirrored:
        found.append(
            Message("Its left controls move the right half of the face: swap their names if it winks the wrong eye.")
        )
    return tuple(found)


def _head_words(avatar: Avatar) -> Message:
    nodes = (some_of(avatar.head_names),)
    if avatar.has_head_joint:
        return Message("The joint {} turns the head, and what it does not carry stays still.", nodes)
    return Message("No joint is named head, so the whole of {} turns with the actor's head.", nodes)


def _name_from(path: Path) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:40]


def _checked_name(name: str, is_replacing: bool) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(
            "{!r} cannot be an avatar's name: give up to 40 lower-case letters, digits, - and _ (--name robin).", name
        )
    if name in builtin_avatars():
        raise InputError("{} is the name of an avatar that ships: choose another with --name.", name)
    if name in registered_avatars() and not is_replacing:
        raise InputError("an avatar {} was added before: replace it with --replace, or choose another --name.", name)
    return name


def _copy(path: Path, copy: Path, stance: Stance) -> None:
    """Copy a GLB; if its head has to turn, all its roots hang from a node that turns them."""
    if stance.is_upright:
        shutil.copyfile(path, copy)
        return
    gltf = open_glb(path)
    rotation = matrix_quaternion(stance.turn).tolist()
    gltf.nodes.append(Part(name="upright", rotation=rotation, children=root_nodes(gltf)))
    if not gltf.scenes:
        gltf.scenes, gltf.scene = [Part()], 0
    gltf.scenes[gltf.scene or 0].nodes = [len(gltf.nodes) - 1]
    if isinstance(gltf.asset.extras, dict) and "landmarks" in gltf.asset.extras:
        points = np.array(gltf.asset.extras["landmarks"], np.float64)
        gltf.asset.extras = {**gltf.asset.extras, "landmarks": (points @ stance.turn.T).tolist()}
    write_glb(gltf, gltf.data, copy)
    if not find_stance(read_glb(copy)).is_upright:
        raise AvatarError("{} {}: export it upright (+y) and facing +z.", path.name, stance.words)


def _move(staging: Path, target: Path) -> None:
    """Put a finished folder in its place; the old one goes only then."""
    old = staging.with_suffix(".old")
    if target.exists():
        target.rename(old)
    try:
        staging.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
