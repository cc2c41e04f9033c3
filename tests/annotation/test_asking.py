"""Questions queued by hand."""

from collections import Counter

import pytest

from annotation.asking.requested import MOST_QUESTIONS, queue_questions
from freeavatar.errors import InputError
from tests.labels import add_annotators, make_desk, make_store


def images_of(store):
    rows = store.rows("select question_id, image_id from question_images order by question_id, position")
    questions = {}
    for row in rows:
        questions.setdefault(row["question_id"], []).append(row["image_id"])
    return list(questions.values())


def test_annotators_get_a_queued_set_next(tmp_path):
    store = make_store(tmp_path / "labels.db")
    chosen = [f"{k:032x}" for k in range(9)]
    assert queue_questions(store, chosen, seed=1) == 6
    assert Counter(image for images in images_of(store) for image in images) == dict.fromkeys(chosen, 2)
    add_annotators(store, "ada")
    store.set("label", {"check_share": 0.0, "random_share": 0.0, "grid_share": 0.0})
    asked = make_desk(store).ask("ada").question
    row = store.rows("select proposed_by, wanted, is_open from questions where id = ?", (asked,))[0]
    assert row == {"proposed_by": "explore", "wanted": 3, "is_open": 1}


@pytest.mark.parametrize(("count", "questions"), [(3, 1), (4, 3), (40, 27)])
def test_no_three_images_are_asked_about_twice(tmp_path, count, questions):
    store = make_store(tmp_path / "labels.db")
    queued = queue_questions(store, [f"{k:032x}" for k in range(count)], seed=0)
    sets = {frozenset(images) for images in images_of(store)}
    assert len(sets) == queued <= questions and all(len(images) == 3 for images in sets)


def test_large_sets_are_cut_and_small_or_unknown_ones_refused(tmp_path):
    store = make_store(tmp_path / "labels.db", 400)
    assert queue_questions(store, [f"{k:032x}" for k in range(400)]) == MOST_QUESTIONS
    with pytest.raises(InputError, match="takes 3 different images and 2 are chosen"):
        queue_questions(store, [f"{0:032x}", f"{1:032x}", f"{1:032x}"])
    before = len(images_of(store))
    with pytest.raises(InputError, match="1 of the chosen images are not in the pool"):
        queue_questions(store, [f"{0:032x}", f"{1:032x}", "gone"])
    assert len(images_of(store)) == before
