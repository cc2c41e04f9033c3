"""The Explore page's questions about clips: their paths, and how far avatars stray from them."""

import numpy as np

from freeavatar.errors import InputError
from freeavatar.explore.clips import ACTOR, trace_steps
from freeavatar.explore.maps import MapConfig, make_map, place
from webapp.common.pictures import picture_url
from webapp.common.replies import Reply, language_in
from webapp.common.words import translated
from webapp.explore.faces import Clips, Faces, OtherBundleError
from webapp.explore.jobs import Jobs, Steps, words
from webapp.explore.replies import number, packed
from webapp.explore.shelf import Shelf, avatars_of, config_of, lens_of


class Moving:
    """Answers as plain dictionaries.

    Args:
        shelf: what is open.
        faces: finds faces by their refs.
        clips: where clips lie.
        jobs: does what takes long.
    """

    def __init__(self, shelf: Shelf, faces: Faces, clips: Clips, jobs: Jobs) -> None:
        self._shelf, self._faces, self._clips, self._jobs = shelf, faces, clips, jobs

    def trace(self, request: Reply) -> Reply:
        """Start drawing the path of an uploaded clip and, if the bundle can drive any, of the avatars that play it."""
        lens, weights = lens_of(request)
        upload, (clip, folder) = self._shelf.uploaded(request), self._clips.new()
        name, avatars = str(request.get("name") or upload.name), avatars_of(request) if lens.has_decoder else []

        def steps() -> Steps:
            try:
                for step in trace_steps(upload, avatars, lens, folder, name=name, weights=weights):
                    share = min(step.done / step.total, 1.0) if step.total else None
                    if step.stage == "tracking":
                        yield share, words("explore.tracking", count=step.done)
                    else:
                        yield share, words("explore.watching", avatar=step.stage, count=step.done)
                return {"clip": clip}
            finally:
                upload.unlink(missing_ok=True)
                if not (folder / "path.json").is_file():
                    self._clips.drop(clip)

        return {"job": self._jobs.start("work", steps())}

    def clip(self, request: Reply) -> Reply:
        """The paths of a clip on a map, and how far avatars are from the actor along time; or ``elsewhere``: why."""
        pool, clip = self._shelf.pool(request), str(request.get("clip"))
        try:
            path = self._clips.load(clip, pool.weights)
        except OtherBundleError as error:
            return {"elsewhere": translated(error, language_in(request))}
        known, drawn = pool.vectors, self._shelf.shown(pool, request)
        if len(known) < 2:  # a clip of its own
            known = path.embeddings[ACTOR][path.confidence[ACTOR] > 0]
            drawn = make_map(known, MapConfig(dims=config_of(request).dims))
        tracks = []
        for name, vectors in path.embeddings.items():
            points = place(vectors, known, drawn)
            points[path.confidence[name] == 0] = np.nan
            track: Reply = {"name": name, "points": packed(points), "confidence": packed(path.confidence[name])}
            if name != ACTOR:
                track |= {
                    "distance": packed(path.distance(name).astype(np.float32)), "worst": path.worst(name),
                    "shift": number(path.shift(name)),
                }  # fmt: skip
            tracks.append(track)
        return {"clip": clip, "name": path.name, "times": packed(path.times.astype(np.float32)), "tracks": tracks}

    def moment(self, request: Reply) -> Reply:
        """Actor and avatars at one moment of a clip."""
        clip, pool, moment = str(request.get("clip")), self._shelf.pool(request), int(request.get("moment", 0))
        path = self._clips.load(clip, pool.weights)
        if not 0 <= moment < len(path.times):
            raise InputError("the clip has no such moment: click on its path again.")
        faces = []
        for name in path.embeddings:
            if path.confidence[name][moment] > 0:
                crop = self._faces.crop(f"c:{clip}:{name}:{moment}", pool)[0]
                apart = None if name == ACTOR else number(float(path.distance(name)[moment]))
                faces.append({"name": name, "face": picture_url(crop), "distance": apart})
        return {"time": float(path.times[moment]), "faces": faces}

    def drop(self, request: Reply) -> Reply:
        """Delete a clip."""
        self._clips.drop(str(request.get("clip")))
        return {}
