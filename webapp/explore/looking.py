"""The Explore page's questions about single faces, and about two bundles."""

import numpy as np

from freeavatar.errors import InputError
from freeavatar.explore.maps import place
from freeavatar.explore.neighbours import farthest, nearest, own_neighbours, wrong_triplets
from freeavatar.rig import ARKIT
from webapp.common.pictures import picture_url
from webapp.common.replies import Reply
from webapp.explore.faces import Face, Faces
from webapp.explore.pool import Pool, read_judgements
from webapp.explore.replies import packed
from webapp.explore.shelf import Shelf, avatars_of, lens_of

_NEAR, _FAR = 8, 4
_NEIGHBOURHOOD = 10
_LISTED = 12


class Looking:
    """Answers as plain dictionaries.

    Args:
        shelf: what is open.
        faces: finds faces by their refs.
    """

    def __init__(self, shelf: Shelf, faces: Faces) -> None:
        self._shelf, self._faces = shelf, faces

    def look(self, request: Reply) -> Reply:
        """A face large, its place on the map, its nearest and farthest neighbours, its rig."""
        pool, lens = self._shelf.pool(request), lens_of(request)[0]
        face = self._faces.find(str(request.get("ref")), pool, lens)
        near, far = self._around(pool, face)
        drawn = self._shelf.shown(pool, request)
        return {
            "ref": face.ref, "face": picture_url(face.crop), "caption": face.caption, "near": near, "far": far,
            "point": place(face.vector[None], pool.vectors, drawn)[0].tolist(),
        }  # fmt: skip

    def glimpse(self, request: Reply) -> Reply:
        """A face, nothing else."""
        return {"face": picture_url(self._faces.crop(str(request.get("ref")), self._shelf.pool(request))[0])}

    def _around(self, pool: Pool, face: Face) -> tuple[list[Reply], list[Reply]]:
        if not pool.ids:
            return [], []
        own = int(face.ref[2:]) if face.ref.startswith("p:") else -1
        order, distances = nearest(face.vector[None], pool.vectors, _NEAR + 1)
        near = [(int(k), float(d)) for k, d in zip(order[0], distances[0], strict=True) if k != own][:_NEAR]
        order, distances = farthest(face.vector, pool.vectors, _FAR)
        far = [(int(k), float(d)) for k, d in zip(order, distances, strict=True) if k != own]
        return self._shelf.listed(pool, near), self._shelf.listed(pool, far)

    def decode(self, request: Reply) -> Reply:
        """The rig of a face, strongest controls first, and avatars with its expression."""
        pool, lens = self._shelf.pool(request), lens_of(request)[0]
        face = self._faces.find(str(request.get("ref")), pool, lens)
        avatars = avatars_of(request)
        weights = lens.act(avatars[0], face.feature[None])[0]
        rig = sorted(zip(ARKIT, weights.tolist(), strict=True), key=lambda pair: -pair[1])
        pictures = [{"avatar": name, "face": picture_url(lens.draw(name, face.feature[None])[0])} for name in avatars]
        return {"rig": [[name, round(weight, 3)] for name, weight in rig], "pictures": pictures}

    def morph(self, request: Reply) -> Reply:
        """A strip of an avatar's pictures from one face to another."""
        pool, lens = self._shelf.pool(request), lens_of(request)[0]
        ends = [self._faces.find(str(request.get(key)), pool, lens) for key in ("first", "last")]
        pictures = lens.morph(avatars_of(request)[0], ends[0].feature, ends[1].feature)
        return {"pictures": [picture_url(picture) for picture in pictures], "ends": [picture_url(e.crop) for e in ends]}

    def find(self, request: Reply) -> Reply:
        """Where the largest face of an uploaded picture lands; its ref."""
        upload = self._shelf.uploaded(request)
        try:
            return {"ref": self._faces.search(upload, str(request.get("name") or upload.name))}
        finally:
            upload.unlink(missing_ok=True)

    def compare(self, request: Reply) -> Reply:
        """What changes from one bundle to another: neighbours, and annotators' triplets each gets wrong."""
        pool, other = self._shelf.pool(request), self._shelf.pool(request, "other")
        if pool.ids != other.ids:
            raise InputError("the pool has changed meanwhile, or one bundle has not seen all of it: try again.")
        if len(pool.ids) < 3:
            raise InputError("two bundles differ in neighbours, and the pool has fewer than three images: import more.")
        mine, theirs = (own_neighbours(p.vectors, _NEIGHBOURHOOD) for p in (pool, other))
        change = np.array([1 - np.isin(a, b).mean() for a, b in zip(mine, theirs, strict=True)], np.float32)
        judged = read_judgements(self._shelf.store, pool.ids)
        wrong = [wrong_triplets(p.vectors, judged.triplets, judged.is_mutual) for p in (pool, other)]
        only = [np.flatnonzero(wrong[k] & ~wrong[1 - k]) for k in (0, 1)]
        return {
            "change": packed(change), "mean_change": float(change.mean()),
            "most_changed": [f"p:{k}" for k in np.argsort(-change, kind="stable")[:_LISTED]],
            "triplets": len(judged.triplets), "wrong": [int(w.sum()) for w in wrong],
            "both_wrong": int((wrong[0] & wrong[1]).sum()),
            "only": [[self._triplet(pool, judged.triplets[k]) for k in rows[:_LISTED]] for rows in only],
        }  # fmt: skip

    def _triplet(self, pool: Pool, triplet: np.ndarray) -> list[Reply]:
        return self._shelf.listed(pool, [(int(k), 0.0) for k in triplet])

    def neighbours(self, request: Reply) -> Reply:
        """The nearest neighbours of an image under two bundles; which of them only one has."""
        pool, other = self._shelf.pool(request), self._shelf.pool(request, "other")
        index = _index(request.get("ref"), pool)
        if pool.ids != other.ids:
            raise InputError("the pool has changed meanwhile: reload the page.")
        found = [self._others(each, index) for each in (pool, other)]
        sets = [{k for k, _ in each} for each in found]
        lists = [self._shelf.listed(pool, each) for each in found]
        for side, faces in enumerate(lists):
            for face in faces:
                face["is_new"] = _index(face["ref"], pool) not in sets[1 - side]
        return {"lists": lists}

    @staticmethod
    def _others(pool: Pool, index: int) -> list[tuple[int, float]]:
        order, distances = nearest(pool.vectors[index][None], pool.vectors, _NEAR + 1)
        return [(int(k), float(d)) for k, d in zip(order[0], distances[0], strict=True) if k != index][:_NEAR]

    def faces(self, request: Reply) -> Reply:
        """Small pictures of some images."""
        pool = self._shelf.pool(request)
        return {"faces": self._shelf.listed(pool, [(_index(ref, pool), 0.0) for ref in request.get("refs") or []])}


def _index(ref: object, pool: Pool) -> int:
    """The image of the pool a ref names.

    Raises:
        InputError: there is none.
    """
    kind, _, number = str(ref).partition(":")
    if kind != "p" or not number.isdecimal() or int(number) >= len(pool.ids):
        raise InputError("this face is not known any more: reload the page.")
    return int(number)
