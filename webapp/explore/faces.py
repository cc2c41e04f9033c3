"""Faces by name: an image of the pool, a moment of a clip, or a face somebody searches by."""

import re
import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np

from annotation.store.store import Store
from freeavatar.errors import FaceError, InputError
from freeavatar.explore.clips import ClipPath, face_at, load_path
from freeavatar.explore.lens import Lens
from freeavatar.faces import crop_face, detect_faces, refine_face
from freeavatar.images import read_image
from freeavatar.paths import home
from webapp.explore.pool import Pool, crops_of, name_of

_MOST_QUERIES = 64
_KEPT_SECONDS = 30 * 86400.0
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Face:
    """One face of the space."""

    ref: str
    """``p:<index>`` of the pool, ``c:<clip>:<track>:<moment>``, or ``q:<id>`` of a search."""
    crop: np.ndarray
    """``(S, S, 3)`` uint8."""
    vector: np.ndarray
    """``(16,)`` float32."""
    feature: np.ndarray
    """``(D,)`` float32."""
    caption: str
    """Empty for a moment of a clip, which the page knows itself."""


class OtherBundleError(InputError):
    """A clip that was drawn under another bundle."""


class Clips:
    """Paths of clips on disk, under ``$FREEAVATAR_HOME/explore/clips``: whoever knows a clip's id may see it.

    Only the page that drew a clip knows its id, so one that was not looked at for a month goes.
    """

    def __init__(self) -> None:
        for about in (home() / "explore" / "clips").glob("*/path.json"):
            if time.time() - about.stat().st_mtime > _KEPT_SECONDS:
                self.drop(about.parent.name)

    def new(self) -> tuple[str, Path]:
        """Id and folder of a clip to be."""
        clip = uuid4().hex
        return clip, self.folder(clip)

    @staticmethod
    def folder(clip: str) -> Path:
        """Where a clip lies.

        Raises:
            InputError: this is no id.
        """
        if not _ID.fullmatch(clip):
            raise InputError("this clip is not known: draw its path again.")
        return home() / "explore" / "clips" / clip

    def load(self, clip: str, weights: str) -> ClipPath:
        """The path of a clip.

        Raises:
            InputError: it is gone.
            OtherBundleError: it was drawn under another bundle.
        """
        path = load_path(self.folder(clip))
        (self.folder(clip) / "path.json").touch()
        if path.weights != weights:
            raise OtherBundleError(
                "the path of {} was drawn under another bundle: choose that, or draw it anew.", path.name
            )
        return path

    def drop(self, clip: str) -> None:
        """Delete a clip."""
        shutil.rmtree(self.folder(clip), ignore_errors=True)


class Faces:
    """Finds faces by their refs; safe for threads.

    Args:
        store: the labels.
        clips: where clips lie.
    """

    def __init__(self, store: Store, clips: Clips) -> None:
        self._store, self._clips = store, clips
        self._queries: OrderedDict[str, tuple[np.ndarray, str]] = OrderedDict()
        self._lock = threading.Lock()

    def crop(self, ref: str, pool: Pool) -> tuple[np.ndarray, str]:
        """Crop and caption of the face a ref stands for.

        Raises:
            InputError: there is none, or it is gone.
        """
        kind, _, rest = ref.partition(":")
        try:
            return {"p": self._pooled, "c": self._moment, "q": self._query}[kind](rest, pool)
        except (KeyError, IndexError, ValueError) as error:
            raise InputError("this face is not known any more: reload the page.") from error

    def find(self, ref: str, pool: Pool, lens: Lens) -> Face:
        """The face a ref stands for, encoded.

        Raises:
            InputError: there is none, or it is gone.
        """
        crop, caption = self.crop(ref, pool)
        features, vectors = lens.encode([crop])
        vector = pool.vectors[int(ref[2:])] if ref.startswith("p:") else vectors[0]
        return Face(ref, crop, vector, features[0], caption)

    def _pooled(self, rest: str, pool: Pool) -> tuple[np.ndarray, str]:
        index = int(rest)
        if not 0 <= index < len(pool.ids):
            raise IndexError(index)
        crop = crops_of(self._store, [pool.ids[index]])[0]
        if crop is None:
            raise InputError("this image was deleted from the pool: reload the page.")
        return crop, caption_of(pool, index)

    def _moment(self, rest: str, pool: Pool) -> tuple[np.ndarray, str]:
        clip, track, moment = rest.split(":")
        path, place = self._clips.load(clip, pool.weights), int(moment)
        if path.confidence[track][place] == 0:
            raise InputError("no face was found at this moment: choose another.")
        return face_at(self._clips.folder(clip), track, place), ""

    def _query(self, rest: str, _: Pool) -> tuple[np.ndarray, str]:
        with self._lock:
            return self._queries[rest]

    def search(self, picture: Path, name: str) -> str:
        """Ref of the largest face of a picture.

        Raises:
            InputError: it is no picture.
            FaceError: it shows no face.
        """
        image = read_image(picture)
        found = detect_faces(image)
        if not found:
            raise FaceError("no face was found in {}: use a picture of a person who looks towards the camera.", name)
        sharp = refine_face(image, found[0].points) or found[0]
        with self._lock:
            ref = uuid4().hex
            self._queries[ref] = (crop_face(image, sharp.points), name)
            while len(self._queries) > _MOST_QUERIES:
                self._queries.popitem(last=False)
        return f"q:{ref}"


def caption_of(pool: Pool, index: int) -> str:
    """What is known of an image, in few words."""
    words = [pool.words[key][index] for key in ("label", "person")]
    return " · ".join(word for word in words if word) or name_of(pool.sources[index])


def captions_of(pool: Pool) -> list[str]:
    """Of every image."""
    return [caption_of(pool, k) for k in range(len(pool.ids))]
