"""The tables, and the migrations that make them.

Open the file in Datasette: keys are links, and the views ``valid_answers``, ``excluded_annotators``
and ``votes`` hold what most questions to it need.
"""

from typing import Any

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("annotation")


def _create(db: Database, name: str, columns: dict[str, Any], **options: Any) -> None:
    optional = set(options.pop("optional", ()))
    required = set(columns) - optional
    db.table(name).create(columns, strict=True, not_null=required, **options)


@MIGRATIONS()
def m001_images(db: Database) -> None:
    """Images, their embeddings, and the clips of A/B questions."""
    _create(
        db,
        "images",
        {
            "id": str,  # of the pixels, or of source and box: the same picture has one id on every machine
            "kind": str,  # photo, frame, render, reference (known by name alone)
            "source": str,
            "box": str,  # left, right, top, bottom as shares of the picture, JSON, as FEC has it
            "licence": str,  # or a note on consent
            "person": str,
            "rig": str,  # known weights of ARKit's 52, JSON
            "crop": bytes,  # JPEG, square, with the loose margin
            "created": str,
        },
        pk="id",
        optional=["box", "person", "rig", "crop"],
    )
    db.table("images").create_index(["source"])
    _create(
        db,
        "embeddings",
        {"image_id": str, "weights": str, "vector": bytes},  # float32, of unit length
        pk=("image_id", "weights"),
        foreign_keys=[("image_id", "images", "id")],
    )
    _create(db, "clips", {"id": str, "mime": str, "source": str, "data": bytes, "created": str}, pk="id")


@MIGRATIONS()
def m002_questions(db: Database) -> None:
    """What is asked, of whom, and what is known already."""
    _create(
        db,
        "questions",
        {
            "id": str,
            "form": str,  # odd, grid, ab
            "purpose": str,  # informative, random, gold, practice, imported
            "proposed_by": str,
            "model": str,  # id of the weights behind the proposal
            "probability": float,  # of the answer the model expects
            "type": str,  # FEC's ONE_, TWO_ or THREE_CLASS_TRIPLET
            "wanted": int,  # raters asked for so far
            "is_open": int,
            "created": str,
        },
        pk="id",
        optional=["model", "probability", "type"],
    )
    db.table("questions").create_index(["is_open", "purpose", "form"])
    _create(
        db,
        "question_images",
        {"question_id": str, "position": int, "image_id": str},  # canonical order; of a grid, 0 is the target
        pk=("question_id", "position"),
        foreign_keys=[("question_id", "questions", "id"), ("image_id", "images", "id")],
    )
    db.table("question_images").create_index(["image_id"])
    _create(
        db,
        "comparisons",
        {"question_id": str, "actor": str, "clip_0": str, "clip_1": str, "method_0": str, "method_1": str},
        pk="question_id",
        foreign_keys=[("question_id", "questions", "id")]
        + [(column, "clips", "id") for column in ("actor", "clip_0", "clip_1")],
    )
    _create(
        db,
        "gold",
        {"question_id": str, "choice": str, "note": str, "created": str},
        pk="question_id",
        foreign_keys=[("question_id", "questions", "id")],
    )


@MIGRATIONS()
def m003_answers(db: Database) -> None:
    """Who answered what."""
    _create(db, "consents", {"id": str, "text": str, "created": str}, pk="id")
    _create(
        db,
        "annotators",
        {"id": str, "source": str, "consent_id": str, "consented": str, "client": str, "created": str},
        pk="id",
        optional=["consent_id", "consented"],
        foreign_keys=[("consent_id", "consents", "id")],
    )
    asked = [("question_id", "questions", "id"), ("annotator_id", "annotators", "id")]
    _create(
        db,
        "leases",
        {
            "id": str,
            "question_id": str,
            "annotator_id": str,
            "purpose": str,
            "shown": str,
            "state": str,  # held, counted, void
            "created": str,
            "expires": str,
        },
        pk="id",
        foreign_keys=asked,
    )
    db.table("leases").create_index(["question_id", "annotator_id"])
    db.table("leases").create_index(["annotator_id"])
    _create(
        db,
        "answers",
        {
            "id": str,
            "lease_id": str,
            "question_id": str,
            "annotator_id": str,
            "purpose": str,  # the question's, or repeat
            "action": str,  # choice, cant_tell, undo
            "choice": str,  # JSON list of canonical positions
            "shown": str,  # JSON list: canonical position at each place of the screen
            "seconds": float,
            "undoes": str,
            "client": str,
            "created": str,
        },
        pk="id",
        optional=["lease_id", "undoes", "seconds"],
        foreign_keys=asked + [("lease_id", "leases", "id"), ("undoes", "answers", "id")],
    )
    for columns in (["question_id"], ["annotator_id"], ["undoes"], ["lease_id"]):
        db.table("answers").create_index(columns)
    db.execute(
        "create trigger answers_append_only before update on answers "
        "begin select raise(abort, 'answers are never changed: add a row'); end"
    )
    _create(
        db,
        "exclusions",
        {"id": str, "annotator_id": str, "is_excluded": int, "reason": str, "created": str},
        pk="id",
        foreign_keys=[("annotator_id", "annotators", "id")],
    )


@MIGRATIONS()
def m004_snapshots(db: Database) -> None:
    """What left the store, and the settings."""
    _create(
        db,
        "snapshots",
        {
            "id": str,
            "path": str,
            "images_path": str,
            "format": str,
            "triplets": int,
            "min_agreement": float,
            "sha256": str,
            "created": str,
        },
        pk="id",
        optional=["images_path"],
    )
    _create(
        db,
        "snapshot_images",
        {"snapshot_id": str, "image_id": str},
        pk=("snapshot_id", "image_id"),
        foreign_keys=[("snapshot_id", "snapshots", "id"), ("image_id", "images", "id")],
    )
    _create(db, "settings", {"key": str, "value": str}, pk="key")


@MIGRATIONS()
def m005_views(db: Database) -> None:
    """Answers that count, and how they are spread."""
    db.create_view(
        "excluded_annotators",
        "select annotator_id, reason, created from exclusions e where is_excluded = 1 and id = "
        "(select max(id) from exclusions where annotator_id = e.annotator_id)",
    )
    db.create_view(
        "valid_answers",
        "select * from answers a where action != 'undo' "
        "and not exists (select 1 from answers u where u.undoes = a.id) "
        "and annotator_id not in (select annotator_id from excluded_annotators)",
    )
    db.create_view(
        "votes",
        "select question_id, choice, count(*) as votes from valid_answers "
        "where action = 'choice' and purpose != 'repeat' group by question_id, choice",
    )


@MIGRATIONS()
def m006_promises(db: Database) -> None:
    """What people agreed to and were told, and what must not come back."""
    _create(
        db,
        "agreements",
        {"id": str, "annotator_id": str, "consent_id": str, "created": str},
        pk="id",
        foreign_keys=[("annotator_id", "annotators", "id"), ("consent_id", "consents", "id")],
    )
    _create(
        db,
        "completions",
        {"code": str, "annotator_id": str, "reason": str, "answers": int, "created": str},  # reason: quota, all asked
        pk="code",
        foreign_keys=[("annotator_id", "annotators", "id")],
    )
    db.table("completions").create_index(["annotator_id"])
    _create(
        db, "tombstones", {"image_id": str, "crop_hash": str, "created": str}, pk="image_id", optional=["crop_hash"]
    )
    db.execute("update questions set is_open = 0 where purpose not in ('informative', 'random')")
    db.execute("alter table snapshots add column is_own integer not null default 1")  # 0: of a merged database
