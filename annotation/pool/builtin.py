"""The pool out of the box: renders of the built-in avatars, with practice and gold questions on them."""

import contextlib
import logging
import threading

import numpy as np

from annotation.pool.importing import crops_of
from annotation.store.ids import new_id, now
from annotation.store.images import Embedder, add_embeddings, add_image, embed_missing, encode_crop, pixel_id
from annotation.store.questions import insert_question
from annotation.store.store import Store, waiting_for
from freeavatar.avatars import builtin_avatars, load_avatar
from freeavatar.errors import FreeAvatarError, Message
from freeavatar.render import Light, Lighting, Look, Renderer
from freeavatar.rig import ARKIT

LICENCE = "CC0 (render of a built-in avatar)"
logger = logging.getLogger(__name__)
_FAILURE = "builtin_failure"
"""Setting with the reason."""
_LONGEST_FILL = 900.0
"""Seconds another process may take to fill the pool."""
_MIXES = 5
"""Renders of each avatar that blend two expressions."""


def _both(**weights: float) -> dict[str, float]:
    """A rig from names without Left and Right, which set both sides."""
    rig: dict[str, float] = {}
    for name, weight in weights.items():
        rig |= {side: weight for side in (name, f"{name}Left", f"{name}Right") if side in ARKIT}
    return rig


EXPRESSIONS = {
    "neutral": {},
    "smile": _both(mouthSmile=0.8, cheekSquint=0.4),
    "laugh": _both(mouthSmile=0.9, jawOpen=0.5, cheekSquint=0.7, eyeSquint=0.4),
    "surprise": _both(jawOpen=0.6, eyeWide=0.8, browInnerUp=0.8, browOuterUp=0.8),
    "frown": _both(mouthFrown=0.9, browDown=0.6, mouthShrugLower=0.5),
    "anger": _both(browDown=1.0, noseSneer=0.5, mouthPress=0.7, eyeSquint=0.5),
    "disgust": _both(noseSneer=1.0, mouthUpperUp=0.8, browDown=0.5),
    "sorrow": _both(browInnerUp=1.0, mouthFrown=0.6, eyeSquint=0.2),
    "kiss": _both(mouthPucker=0.95),
    "funnel": _both(mouthFunnel=0.9, jawOpen=0.25),
    "eyes shut": _both(eyeBlink=1.0),
    "wink left": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.6, "mouthSmileLeft": 0.4},
    "wink right": {"eyeBlinkRight": 1.0, "cheekSquintRight": 0.6, "mouthSmileRight": 0.4},
    "smirk left": {"mouthSmileLeft": 0.9, "mouthDimpleLeft": 0.6},
    "smirk right": {"mouthSmileRight": 0.9, "mouthDimpleRight": 0.6},
    "brow left": {"browOuterUpLeft": 1.0, "browDownRight": 0.5},
    "puffed cheeks": _both(cheekPuff=1.0, mouthPress=0.3),
    "tongue": _both(tongueOut=1.0, jawOpen=0.45),
    "jaw right": {"jawRight": 0.9, "jawOpen": 0.2},
    "lips rolled in": _both(mouthRollLower=0.9, mouthRollUpper=0.9),
    "shout": _both(jawOpen=0.9, browDown=0.7, noseSneer=0.5, mouthUpperUp=0.4),
    "grimace": _both(mouthStretch=0.9, mouthLowerDown=0.6, jawOpen=0.15),
}
"""Rigs people tell apart at a glance."""

PRACTICE = (
    ("smile", "surprise", Message("Two smile; the third is surprised.")),
    ("frown", "laugh", Message("Two are glum; the third laughs. Age and hair do not matter.")),
    (
        "kiss", "eyes shut",
        Message("Two purse the lips; the third has closed eyes. The direction of the head does not matter."),
    ),
)  # fmt: skip
"""Shared expression, odd expression, and what to learn from it."""
_BEARDED = ("tomas",)
"""Their mouths are hard to read: no example, and nobody is judged by them."""
_GOLD = (
    ("laugh", "anger"), ("surprise", "disgust"), ("eyes shut", "tongue"), ("shout", "smile"), ("kiss", "laugh"),
    ("puffed cheeks", "surprise"), ("sorrow", "tongue"), ("tongue", "frown"), ("smile", "shout"), ("disgust", "kiss"),
)  # fmt: skip


def has_builtin(store: Store) -> bool:
    """Whether the renders and their practice questions are there."""
    return bool(store.get("builtin"))


def builtin_failure(store: Store) -> str:
    """Why the last attempt to fill the pool failed; empty if it did not."""
    return store.get(_FAILURE, "")


def is_builtin_settled(store: Store) -> bool:
    """Whether nothing more comes: the renders are there, or cannot be made."""
    return has_builtin(store) or bool(builtin_failure(store))


def fill_builtin(store: Store, embedder: Embedder) -> int:
    """Render the built-in avatars into the pool, once; how many pictures that made."""
    if has_builtin(store):
        return 0
    # Two servers that start on one new database would both render for a minute.
    with waiting_for(store.path.with_name(f"{store.path.name}.builtin.lock"), _LONGEST_FILL):
        return 0 if has_builtin(store) else _render_pool(store, embedder)


def _render_pool(store: Store, embedder: Embedder) -> int:
    rng = np.random.default_rng(7)
    # Rigs of other kinds lack some of the expressions.
    people = [person for name in builtin_avatars() if (person := load_avatar(name)).is_arkit]
    renderers = {person.name: Renderer(person) for person in people}
    plan = [(name, avatar, rig) for name, rig in EXPRESSIONS.items() for avatar in renderers]
    plan += [("mix", avatar, _mixed(rng)) for _ in range(_MIXES) for avatar in renderers]
    made: dict[tuple[str, str], str] = {}
    for number, (name, avatar, rig) in enumerate(plan):
        if _is_ending():
            return number
        crop = _photograph(renderers[avatar], rig, rng)
        if crop is not None:
            source = f"builtin:{avatar}/{name}" + (f" {number}" if name == "mix" else "")
            image = pixel_id(crop)
            with store.write():
                add_image(
                    store, image, kind="render", source=source, licence=LICENCE, person=avatar, rig=rig,
                    crop=encode_crop(crop),
                )  # fmt: skip
                add_embeddings(store, [image], embedder.weights, embedder.embed([crop]))
            made[name, avatar] = image
    _add_known_questions(store, made, list(renderers), rng)
    return len(plan)


def fill_builtin_later(store: Store, embedder: Embedder) -> threading.Thread:
    """Render in the background, so that the page opens at once; embed what these weights have not seen.

    If that fails, :func:`builtin_failure` says why.
    """

    def work() -> None:
        try:
            if builtin_failure(store):
                store.set(_FAILURE, "")
            fill_builtin(store, embedder)
            embed_missing(store, embedder, is_cancelled=_is_ending)
        except Exception as error:  # nobody joins this thread: the page and the owner have to hear of it
            logger.exception("the built-in pictures could not be made")
            with contextlib.suppress(FreeAvatarError):
                store.set(_FAILURE, f"{type(error).__name__}: {error}")
        finally:
            store.close()

    # Python aborts if it ends under a daemon that is rendering; this one sees the end coming and stops.
    thread = threading.Thread(target=work, name="builtin-pool", daemon=False)
    thread.start()
    return thread


def _is_ending() -> bool:
    return not threading.main_thread().is_alive()


def _mixed(rng: np.random.Generator) -> dict[str, float]:
    """A rig between two expressions."""
    rigs = list(EXPRESSIONS.values())
    first, second = rng.choice(len(rigs), 2, replace=False)
    amounts = rng.uniform(0.25, 0.8, 2)
    mixed: dict[str, float] = {}
    for rig, amount in ((rigs[first], amounts[0]), (rigs[second], amounts[1])):
        for name, weight in rig.items():
            mixed[name] = round(min(1.0, mixed.get(name, 0.0) + amount * weight), 3)
    return mixed


def _photograph(renderer: Renderer, rig: dict[str, float], rng: np.random.Generator) -> np.ndarray | None:
    """A crop of the avatar under some light and pose; None if no face is found in it."""
    weights = np.array([rig.get(name, 0.0) for name in renderer.avatar.target_names], np.float32)
    head = np.array([rng.uniform(-16, 16), rng.uniform(-8, 8), rng.uniform(-5, 5)], np.float32)
    key = Light((rng.uniform(-0.9, 0.9), rng.uniform(0.1, 0.9), 0.8), (rng.uniform(1.0, 1.8),) * 3)
    fill = Light((rng.uniform(-1, 1), 0.2, 0.7), (rng.uniform(0.2, 0.7),) * 3)
    look = Look((448, 448), lighting=Lighting((key, fill), (0.5,) * 3, (0.3,) * 3))
    crops = crops_of(renderer.picture(weights, head, look=look, camera=renderer.camera("bust")), 48)
    return crops[0] if crops else None


def _add_known_questions(
    store: Store, made: dict[tuple[str, str], str], avatars: list[str], rng: np.random.Generator
) -> None:
    """Practice and gold: two avatars share an expression, another has one far from it."""
    known = [(shared, odd, "practice", str(note)) for shared, odd, note in PRACTICE]
    known += [(shared, odd, "gold", f"{shared} against {odd}") for shared, odd in _GOLD]
    with store.write() as db:
        if has_builtin(store):  # where there are no file locks, another process may have been faster
            return
        for shared, odd, purpose, note in known:
            people = [name for name in rng.permutation(avatars) if name not in _BEARDED]
            images = [made.get((shared, people[0])), made.get((shared, people[1])), made.get((odd, people[-1]))]
            found = [image for image in images if image is not None]
            if len(found) == 3:
                row = (new_id(), "odd", purpose, "builtin", None, None, "TWO_CLASS_TRIPLET", 0, 0, now())
                insert_question(db, row, found)
                db.execute("insert into gold values (?, '[2]', ?, ?)", (row[0], note, now()))
        store.set("builtin", True)
