"""Pools, maps and bundles that are open, for every visitor at once."""

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from annotation.store.images import weights_id
from annotation.store.store import Store
from freeavatar.avatars import DEFAULT_AVATAR, public_avatars
from freeavatar.errors import InputError
from freeavatar.explore.fitting import cached_path, read_map
from freeavatar.explore.lens import Lens, available_bundles
from freeavatar.explore.maps import FaceMap, MapConfig, make_map
from freeavatar.explore.sheets import THUMBNAILS, draw_sheet
from freeavatar.files import data_url
from freeavatar.paths import home
from webapp.common.pictures import picture_url
from webapp.common.replies import Reply
from webapp.explore.faces import caption_of
from webapp.explore.pool import Pool, crops_of, read_pool

_POOLS = 4
_MAPS = 32
_MOST_AVATARS = 4
_OWN_UPLOAD = re.compile(r"explore-[0-9a-f]{32}(\.\w+)?")


class Shelf:
    """What was read stays, as long as it is among the last few; safe for threads.

    Args:
        store: the labels, whose pool is shown.
        uploads: where Gradio puts uploaded files; nothing outside is read.
    """

    def __init__(self, store: Store, uploads: Path) -> None:
        self.store, self._uploads = store, uploads
        self._pools: OrderedDict[str, Pool] = OrderedDict()
        self._maps: OrderedDict[tuple[str, MapConfig], FaceMap] = OrderedDict()
        self._lock = threading.RLock()
        self.sheet = lru_cache(maxsize=128)(self._draw_sheet)

    def read(self, weights: str) -> Pool:
        """The pool as it is now."""
        pool = read_pool(self.store, weights)
        with self._lock:
            known = self._pools.setdefault(pool.token, pool)
            self._pools.move_to_end(pool.token)
            while len(self._pools) > _POOLS:
                self._pools.popitem(last=False)
            return known

    def pool(self, request: Reply, key: str = "token") -> Pool:
        """The pool a request speaks of.

        Raises:
            InputError: it has changed since.
        """
        with self._lock:
            found = self._pools.get(str(request.get(key)))
        if found is None:
            raise InputError("the pool has changed: reload the page.")
        return found

    def map(self, pool: Pool, config: MapConfig) -> FaceMap | None:
        """The map, if it was fitted before or is made at once."""
        key = (pool.token, config)
        with self._lock:
            if key in self._maps:
                return self._maps[key]
        if config.method == "pca":
            found: FaceMap | None = make_map(pool.vectors, config)
        else:
            found = read_map(cached_path(pool.vectors, config, maps_folder(pool)), config, len(pool.ids))
        if found is not None:
            with self._lock:
                self._maps[key] = found
                while len(self._maps) > _MAPS:
                    self._maps.popitem(last=False)
        return found

    def shown(self, pool: Pool, request: Reply) -> FaceMap:
        """The map a request asks for, or PCA while that is being fitted."""
        config = config_of(request)
        found = self.map(pool, config) or self.map(pool, MapConfig(dims=config.dims))
        assert found is not None
        return found

    def _draw_sheet(self, token: str, number: int) -> str:
        """``data:`` URL of a sheet of thumbnails."""
        pool = self.pool({"token": token})
        chosen = pool.order[number * THUMBNAILS.capacity : (number + 1) * THUMBNAILS.capacity]
        images = crops_of(self.store, [pool.ids[k] for k in chosen])
        return data_url("image/jpeg", draw_sheet(images, THUMBNAILS))

    def listed(self, pool: Pool, found: Sequence[tuple[int, float]]) -> list[Reply]:
        """Small pictures of images, with a distance each."""
        crops = crops_of(self.store, [pool.ids[k] for k, _ in found])
        return [
            {"ref": f"p:{k}", "face": picture_url(crop), "distance": round(d, 3), "caption": caption_of(pool, k)}
            for (k, d), crop in zip(found, crops, strict=True)
            if crop is not None
        ]

    def uploaded(self, request: Reply) -> Path:
        """A file the page has sent, under a name that no other page gives: it is deleted after use.

        Raises:
            InputError: it is not there, lies elsewhere, or is another page's.
        """
        path = Path(str(request.get("path"))).resolve()
        is_own = path.is_relative_to(self._uploads.resolve()) and _OWN_UPLOAD.fullmatch(path.name)
        if not is_own or not path.is_file():
            raise InputError("the upload did not arrive: try again.")
        return path


@lru_cache(maxsize=3)
def _opened(folder: Path, _: float) -> tuple[Lens, str]:
    return Lens(folder), weights_id(folder)


def lens_of(request: Reply) -> tuple[Lens, str]:
    """The bundle a request names, and the id of its encoder.

    Raises:
        InputError: there is none of this name.
        WeightsError: it cannot be used.
    """
    bundles, name = available_bundles(), request.get("bundle")
    if name not in bundles:
        raise InputError("there is no bundle {!r}: choose one of {}.", name, ", ".join(bundles))
    changed = 0.0
    with suppress(OSError, ValueError):
        changed = max(path.stat().st_mtime for path in bundles[name].glob("*.safetensors"))
    return _opened(bundles[name], changed)


def maps_folder(pool: Pool) -> Path:
    """Where maps of a bundle are kept."""
    return home() / "explore" / "maps" / pool.weights


def config_of(request: Reply) -> MapConfig:
    """The map a request asks for."""
    return MapConfig(request.get("method", "pca"), request.get("dims", 2))


def avatars_of(request: Reply) -> list[str]:
    """The avatars a request names, of those there are; the default where it names none."""
    known = public_avatars()
    chosen: list[Any] = [name for name in request.get("avatars") or [] if name in known]
    return chosen[:_MOST_AVATARS] or [DEFAULT_AVATAR]


def indices_of(request: Reply, pool: Pool) -> list[int]:
    """The images a request names; all where it names none."""
    chosen = request.get("indices")
    if chosen is None:
        return list(range(len(pool.ids)))
    return [k for k in dict.fromkeys(int(k) for k in chosen) if 0 <= k < len(pool.ids)]
