"""Filling the image pool: faces found, cropped, embedded; duplicates dropped; failures listed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from annotation.pool.reading import Picture, read_pictures
from annotation.store.images import (
    SHOWN_SIZE,
    Embedder,
    add_embeddings,
    add_image,
    decode_crop,
    encode_crop,
    is_forgotten,
    pixel_id,
    reference_id,
)  # fmt: skip
from annotation.store.store import Store
from freeavatar.errors import FreeAvatarError, InputError
from freeavatar.faces import CROP_SIZE, Face, align_matrix, crop_face, detect_faces, refine_face
from freeavatar.fec import FecFace, find_face, is_fec, read_fec
from freeavatar.images import read_image
from freeavatar.models import EMBEDDING_SIZE

_NEAR = 0.08
"""Embeddings closer than this may be the same picture, encoded again."""
_SAME_LEVELS = 10
"""... and are, if no cell of a 32 x 32 miniature differs by more grey levels."""


@dataclass(frozen=True)
class ImportOptions:
    """What to note of the images, and how to choose them."""

    licence: str = "unknown"
    """Licence, or a note on the consent given."""
    person: str | None = None
    """Who is on them; ``folder`` takes the name of the folder."""
    is_aligned: bool = False
    """The images are upright crops with the loose margin; nothing is detected."""
    images: Path | None = None
    """Folder with the pictures a FEC CSV names."""
    smallest: int = 48
    """Faces whose crop has fewer pixels a side are passed over."""
    novelty: float = 0.35
    """A video's frame is kept if its embedding lies this far from those kept of it."""
    most_per_clip: int = 60

    def __post_init__(self) -> None:
        if self.smallest < 16 or not 0 < self.novelty < 2 or self.most_per_clip < 1:
            raise InputError("expected smallest >= 16 pixels, novelty between 0 and 2, at least 1 frame per clip.")


@dataclass
class ImportReport:
    """What became of the pictures."""

    added: int = 0
    duplicates: int = 0
    alike: int = 0
    """Frames too like one that was kept."""
    failures: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """One sentence."""
        parts = [f"{self.added} faces added", f"{self.duplicates} duplicates dropped"]
        if self.alike:
            parts.append(f"{self.alike} frames like another passed over")
        return ", ".join(parts) + f", {len(self.failures)} failures."


@dataclass(frozen=True)
class _Found:
    """One face on its way into the pool."""

    source: str
    crop: np.ndarray
    kind: str
    clip: str = ""
    person: str | None = None
    box: tuple[float, ...] | None = None


def import_pictures(
    store: Store,
    paths: Iterable[Path],
    options: ImportOptions | None = None,
    *,
    embedder: Embedder | None = None,
    on_progress: Callable[[ImportReport], None] = lambda report: None,
) -> ImportReport:
    """Add the faces of folders, zips, videos, images and FEC CSVs to the pool.

    Raises:
        InputError: a path that is none of these; what came before it is kept.
        FaceError: nothing in ``paths`` shows a face.
    """
    options, report = options or ImportOptions(), ImportReport()
    pool = _Pool(store, embedder or Embedder(), options, report)
    for path in paths:
        before = report.added + report.duplicates + report.alike
        for batch in _batches(_faces(Path(path), options, report), 16):
            pool.add(batch)
            on_progress(report)
        if report.added + report.duplicates + report.alike == before:
            report.failures.append(f"{path} shows no face of at least {options.smallest} pixels: nothing was added.")
    return report


def _batches(items: Iterator[_Found], size: int) -> Iterator[list[_Found]]:
    batch: list[_Found] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _faces(path: Path, options: ImportOptions, report: ImportReport) -> Iterator[_Found]:
    if path.suffix.lower() == ".csv":
        if not is_fec(path):
            raise InputError("{} is not a FEC CSV: labels of other CSVs come in by `import-answers`.", path)
        yield from _fec_faces(path, options, report)
        return
    for picture in read_pictures(path):
        if picture.image is None:
            report.failures.append(picture.failure)
        else:
            yield from _cut(picture, options, report)


def _cut(picture: Picture, options: ImportOptions, report: ImportReport) -> Iterator[_Found]:
    assert picture.image is not None
    person = picture.folder if options.person == "folder" else options.person
    kind = "frame" if picture.clip else "photo"
    if options.is_aligned:
        height, width = picture.image.shape[:2]
        if height != width:
            report.failures.append(f"{picture.name} is {width} x {height}: aligned crops are square.")
            return
        yield _Found(picture.name, _at_most(picture.image), kind, picture.clip, person)
        return
    crops = crops_of(picture.image, options.smallest)
    if not crops and not picture.clip:
        report.failures.append(f"{picture.name} shows no face of at least {options.smallest} pixels.")
    for index, crop in enumerate(crops):
        source = picture.name if len(crops) == 1 else f"{picture.name}@{index}"
        yield _Found(source, crop, kind, picture.clip, person)


def crops_of(image: np.ndarray, smallest: int) -> list[np.ndarray]:
    """Crops of every face in an image, largest first, at the resolution the image has for them."""
    faces = [refine_face(image, face.points) or face for face in detect_faces(image)]
    return [crop for crop in (_crop(image, face, smallest) for face in faces) if crop is not None]


def _crop(image: np.ndarray, face: Face, smallest: int) -> np.ndarray | None:
    """Crop of a face at the resolution the image has for it; None if that is too small."""
    side = CROP_SIZE / np.hypot(*align_matrix(face.points)[:, 0])
    if side < smallest:
        return None
    return crop_face(image, face.points, size=int(np.clip(side, CROP_SIZE, SHOWN_SIZE)))


def _at_most(crop: np.ndarray) -> np.ndarray:
    if len(crop) <= SHOWN_SIZE:
        return crop
    return cv2.resize(crop, (SHOWN_SIZE, SHOWN_SIZE), interpolation=cv2.INTER_AREA)


def _fec_faces(path: Path, options: ImportOptions, report: ImportReport) -> Iterator[_Found]:
    if options.images is None:
        raise InputError("{} names pictures on the web: download them and give their folder with --images.", path)
    seen: set[FecFace] = set()
    for row in read_fec(path):
        for face in row.faces:
            if face not in seen:
                seen.add(face)
                try:
                    image = read_image(options.images / face.file_name)
                    crop = _fec_crop(image, face, options.smallest)
                except FreeAvatarError as error:
                    report.failures.append(str(error))
                else:
                    yield _Found(face.url, crop, "photo", person=options.person, box=face.box)


def _fec_crop(image: np.ndarray, face: FecFace, smallest: int) -> np.ndarray:
    """The face in FEC's box."""
    found = find_face(image, face.box)
    crop = None if found is None else _crop(image, found, smallest)
    if crop is None:
        raise InputError("{} shows no face of at least {} pixels in its box.", face.url, smallest)
    return crop


class _Pool:
    """Adds faces to the store unless it has them."""

    def __init__(self, store: Store, embedder: Embedder, options: ImportOptions, report: ImportReport) -> None:
        self._store, self._embedder, self._options, self._report = store, embedder, options, report
        rows = store.rows("select image_id, vector from embeddings where weights = ?", (embedder.weights,))
        self._ids = [row["image_id"] for row in rows]
        self._vectors = (
            np.stack([np.frombuffer(row["vector"], np.float32) for row in rows])
            if rows
            else np.zeros((0, EMBEDDING_SIZE), np.float32)
        )
        self._kept: dict[str, list[np.ndarray]] = {}

    def add(self, faces: list[_Found]) -> None:
        vectors = self._embedder.embed([face.crop for face in faces])
        for face, vector in zip(faces, vectors, strict=True):
            if face.clip and not self._is_new_in_clip(face.clip, vector):
                self._report.alike += 1
            elif not self._insert(face, vector):
                self._report.duplicates += 1

    def _is_new_in_clip(self, clip: str, vector: np.ndarray) -> bool:
        kept = self._kept.setdefault(clip, [])
        is_far = all(np.linalg.norm(vector - other) > self._options.novelty for other in kept)
        if is_far and len(kept) < self._options.most_per_clip:
            kept.append(vector)
            return True
        return False

    def _insert(self, face: _Found, vector: np.ndarray) -> bool:
        image_id = pixel_id(face.crop) if face.box is None else reference_id(face.source, face.box)
        if face.box is None and self._has_twin(face.crop, vector):
            return False
        data = encode_crop(face.crop)
        if is_forgotten(self._store, image_id, data):
            self._report.failures.append(f"{face.source} was forgotten once: it stays away.")
            return True
        with self._store.write():
            is_new = add_image(
                self._store, image_id, kind=face.kind, source=face.source, licence=self._options.licence,
                crop=data, box=face.box, person=face.person,
            )  # fmt: skip
            if is_new:
                add_embeddings(self._store, [image_id], self._embedder.weights, vector[None])
        if is_new:
            self._ids.append(image_id)
            if len(self._ids) > len(self._vectors):
                self._vectors = np.concatenate([self._vectors, self._vectors, np.zeros((64, len(vector)), np.float32)])
            self._vectors[len(self._ids) - 1] = vector
            self._report.added += 1
        return is_new

    def _has_twin(self, crop: np.ndarray, vector: np.ndarray) -> bool:
        """Whether the pool holds the same picture, perhaps at another size or encoding."""
        near = np.flatnonzero(np.linalg.norm(self._vectors[: len(self._ids)] - vector, axis=1) < _NEAR)
        return any(self._is_same(self._ids[k], crop) for k in near)

    def _is_same(self, image_id: str, crop: np.ndarray) -> bool:
        data = self._store.value("select crop from images where id = ?", (image_id,))
        return data is not None and bool(np.abs(_miniature(decode_crop(data)) - _miniature(crop)).max() < _SAME_LEVELS)


def _miniature(crop: np.ndarray) -> np.ndarray:
    return cv2.resize(crop, (32, 32), interpolation=cv2.INTER_AREA).mean(2)
