"""Recordings: a face's curves from whatever file holds them."""

from pathlib import Path

import numpy as np

from freeavatar.avatars import DEFAULT_AVATAR, load_avatar
from freeavatar.errors import InputError
from freeavatar.export import read_live_link_csv, read_rig_json
from freeavatar.models import choose_device, open_bundle
from freeavatar.performance.editing import edit
from freeavatar.performance.settings import EditSettings
from freeavatar.pipeline.take import load_take
from freeavatar.rig import ARKIT, Curves


def read_curves(path: str | Path, *, avatar: str | None = None) -> Curves:
    """Read a take, a Live Link Face CSV, or a rig JSON of an avatar with ARKit's blendshapes.

    Args:
        path: the file, by its ending ``.csv``, ``.json``, or else a take.
        avatar: whose curves of a take, edited with the default settings; default the first it holds. The other files
            hold one performance.

    Raises:
        InputError: the file cannot be read, holds no curves, or is not a take while an avatar is asked for.
        AvatarError: the avatar cannot be loaded.
        WeightsError: the take holds nothing of the avatar and was made with other weights.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".json"):
        return _read_take(path, avatar)
    if avatar is not None:
        raise InputError("{} holds one performance: leave the avatar out, or give a take.", path.name)
    return read_live_link_csv(path) if path.suffix.lower() == ".csv" else _read_json(path)


def _read_take(path: Path, avatar: str | None) -> Curves:
    take, settings = load_take(path), EditSettings()
    known = {acted.avatar: content for content, acted in take.acted.items()}
    content = next(iter(take.acted), None) if avatar is None else known.get(avatar)
    if content is None:
        chosen = load_avatar(avatar or DEFAULT_AVATAR)
        content = chosen.content
        take = take.decode([chosen], open_bundle(device=choose_device("auto")))
    return edit(take.raw(content), settings, take.neutral(content, settings))


def _read_json(path: Path) -> Curves:
    controls = read_rig_json(path)
    columns = {name: column for column, name in enumerate(controls.names)}
    if not columns.keys() & set(ARKIT):
        raise InputError("{} has none of ARKit's blendshapes: give the CSV or the take of that run.", path.name)
    count = len(controls.times)
    weights = [controls.weights[:, columns[name]] if name in columns else np.zeros(count) for name in ARKIT]
    return Curves(
        weights=np.stack(weights, axis=1).astype(np.float32), times=controls.times, rate=controls.rate,
        head=controls.head, confidence=controls.confidence, cuts=np.zeros(count, bool),
    )  # fmt: skip
