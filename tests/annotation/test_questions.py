"""Handing out questions: leases, redundancy, checks, undo; and what the sampler prefers."""

import json

import numpy as np
import pytest
import torch

from annotation.asking.desk import AllDone, Desk, NoQuestion, insert_question
from annotation.asking.proposals import Proposal
from annotation.people.simulate import Oracle, SimulateOptions, simulate
from annotation.pool.fit import Adam, fit_embedding
from annotation.pool.index import LiveIndex, build_index
from annotation.pool.sampling import (
    count_classes,
    entropy,
    grid_faces,
    informative_triplet,
    odd_one_out,
    pair_distances,
    random_triplets,
    same_class_distance,
)
from annotation.store.forgetting import forget_image
from annotation.store.ids import now
from annotation.store.maintenance import check_store, exclude_annotator
from annotation.store.settings import change_settings
from freeavatar.errors import InputError
from tests.labels import WEIGHTS, add_annotators, make_desk, make_store

PEOPLE = [f"link:{k}" for k in range(8)]


@pytest.fixture
def store(tmp_path):
    store = make_store(tmp_path / "a.db")
    add_annotators(store, *PEOPLE)
    change_settings(store, check_share=0.0, grid_share=0.0)
    return store


def test_the_odd_one_out_is_the_far_one():
    points = np.array([[0.0, 0], [0.1, 0], [3, 0]])
    assert odd_one_out(points, sharpness=1.0).argmax() == 2
    np.testing.assert_allclose(odd_one_out(points, sharpness=0), 1 / 3)
    np.testing.assert_allclose(pair_distances(points), [2.9, 3.0, 0.1])
    np.testing.assert_allclose(entropy(np.array([1 / 3] * 3)), 1)


def test_random_triplets_never_repeat_an_image_and_cover_all():
    triples = random_triplets(5, np.random.default_rng(0), 3000)
    assert all(len(set(row)) == 3 for row in triples.tolist())
    counts = np.bincount(triples.ravel(), minlength=5)
    assert counts.min() > 0.9 * counts.max()


def test_informative_triplets_are_less_sure_than_random_ones():
    vectors, rng = np.random.default_rng(0).normal(size=(200, 8)), np.random.default_rng(1)
    uses = np.zeros(200)
    active = [informative_triplet(vectors, uses, rng, sharpness=0.5)[1] for _ in range(30)]
    chance = odd_one_out(vectors[random_triplets(200, rng, 30)], sharpness=0.5).max(1)
    assert np.mean(active) < np.mean(chance) - 0.2


def test_grids_have_thirteen_faces_seldom_asked_about():
    vectors, rng = np.random.default_rng(0).normal(size=(300, 8)), np.random.default_rng(1)
    uses = np.repeat([0.0, 9.0], 150)
    chosen, sure = grid_faces(vectors, uses, rng, sharpness=0.1)
    assert len(set(chosen.tolist())) == 13
    assert (chosen < 150).sum() >= 9
    assert 0.5 < sure < 1
    assert len(set(grid_faces(vectors[:13], np.zeros(13), rng, sharpness=1)[0].tolist())) == 13


def test_a_random_grid_is_drawn_without_looking_at_the_embedding():
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(size=(20, 4)), 9 + rng.normal(size=(20, 4))]).astype(np.float32)
    seen = np.zeros(40)
    for _ in range(3000):
        seen[grid_faces(vectors, np.arange(40.0), rng, sharpness=1.0, candidates=1)[0]] += 1
    assert abs(seen / 3000 - 13 / 40).max() < 0.04


def test_types_count_classes():
    near, far, further = [0.0, 0], [9.0, 0], [0, 9.0]
    sets = np.array([[near, near, near], [near, near, far], [near, far, further]])
    assert count_classes(sets, 1.0).tolist() == [1, 2, 3]
    assert 0 < same_class_distance(np.random.default_rng(0).normal(size=(100, 4)), np.random.default_rng(0)) < 1.5


def test_answers_bend_the_embedding_towards_them():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(60, 8)).astype(np.float32)
    seen = truth * np.array([1, 1, 0.1, 0.1, 0.1, 0.1, 2, 2], np.float32) + 0.2 * rng.normal(size=(60, 8)).astype("f4")

    def draw(count):
        triples = random_triplets(60, rng, count)
        odd = pair_distances(truth[triples]).argmin(1)
        rest = np.array([np.delete(row, k) for row, k in zip(triples, odd, strict=True)])
        return triples, odd, np.column_stack([rest, triples[np.arange(count), odd]])

    _, _, constraints = draw(400)
    fit = fit_embedding(seen, np.concatenate([constraints, constraints[:, [1, 0, 2]]]), np.tile(np.arange(400), 2))
    test, odd, _ = draw(2000)
    before = (pair_distances(seen[test]).argmin(1) == odd).mean()
    after = (pair_distances(fit.vectors[test]).argmin(1) == odd).mean()
    assert after > before + 0.08
    np.testing.assert_array_equal(fit_embedding(seen, np.zeros((0, 3), int), np.zeros(0, int)).vectors, seen)


def test_a_step_is_that_of_torch():
    rng = np.random.default_rng(0)
    ours = [rng.normal(size=shape).astype(np.float32) for shape in ((4, 4), (9, 4))]
    theirs = [torch.tensor(array) for array in ours]
    mine, reference = Adam(ours, 0.03), torch.optim.Adam(theirs, 0.03, betas=(0.9, 0.99))
    for _ in range(30):
        gradients = [rng.normal(size=array.shape).astype(np.float32) for array in ours]
        mine.step(gradients)
        for values, gradient in zip(theirs, gradients, strict=True):
            values.grad = torch.tensor(gradient)
        reference.step()
    for array, values in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(array, values, atol=1e-5)


class Counted(np.ndarray):
    """Rows of a pool, whose reads are counted."""

    reads = 0

    def __getitem__(self, key):
        found = np.asarray(self)[key]
        Counted.reads += found.size // self.shape[1]
        return found


@pytest.mark.parametrize("draw", [informative_triplet, grid_faces])
def test_a_question_reads_few_rows_however_large_the_pool(draw, monkeypatch):
    monkeypatch.setattr(Counted, "reads", 0)
    vectors = np.random.default_rng(0).normal(size=(100_000, 16)).astype(np.float32).view(Counted)
    draw(vectors, np.zeros(100_000), np.random.default_rng(1), sharpness=1.0)
    assert 0 < Counted.reads < 500


def test_a_question_goes_to_three_people_then_no_more(store):
    desk = make_desk(store)
    first = desk.ask(PEOPLE[0])
    holders = {PEOPLE[0]}
    for person in PEOPLE[1:4]:
        asked = [desk.ask(person).question for _ in range(4)]
        if first.question in asked:
            holders.add(person)
    assert len(holders) <= 3
    assert store.value("select max(n) from (select count(*) n from leases group by question_id)") == 3
    twice = "select count(*) from (select 1 from leases group by question_id, annotator_id having count(*) > 1)"
    assert store.value(twice) == 0


def test_an_expired_lease_gives_its_slot_back(store):
    change_settings(store, redundancy=1, most_raters=1, random_share=0.0)
    desk = make_desk(store)
    held = desk.ask(PEOPLE[0]).question
    assert desk.ask(PEOPLE[1]).question != held
    with store.write() as db:
        db.execute("update leases set expires = '2000' where question_id = ?", (held,))
    assert desk.ask(PEOPLE[2]).question == held


def test_raters_are_added_until_two_thirds_agree_or_six_have_answered(store):
    change_settings(store, random_share=0.0)
    desk = make_desk(store)
    question = None
    for k, person in enumerate(PEOPLE[:6]):
        asked = desk.ask(person)
        question = question or asked.question
        assert asked.question == question
        desk.answer(asked.lease, "choice", [asked.shown.index(k % 3)])
    row = store.rows("select is_open, wanted from questions where id = ?", (question,))[0]
    assert row == {"is_open": 0, "wanted": 6}
    asked = [desk.ask(person) for person in PEOPLE[:3]]
    assert len({one.question for one in asked}) == 1
    for one in asked:
        assert store.value("select is_open from questions where id = ?", (one.question,)) == 1
        desk.answer(one.lease, "choice", [one.shown.index(1)])
    assert store.value("select is_open from questions where id = ?", (asked[0].question,)) == 0


def test_the_choice_is_stored_in_canonical_order_and_once(store):
    desk = make_desk(store)
    asked = desk.ask(PEOPLE[0])
    first = desk.answer(asked.lease, "choice", [2], seconds=1.5, client="browser")
    assert desk.answer(asked.lease, "choice", [0]) == first
    row = store.rows("select * from answers")
    assert len(row) == 1 and json.loads(row[0]["choice"]) == [asked.shown[2]] and row[0]["seconds"] == 1.5


def test_an_undo_is_a_row_and_asks_again(store):
    desk = make_desk(store)
    asked = desk.ask(PEOPLE[0])
    desk.answer(asked.lease, "choice", [0])
    again = desk.undo(PEOPLE[0])
    assert again.question == asked.question and again.shown == asked.shown and again.lease != asked.lease
    desk.answer(again.lease, "cant_tell")
    assert store.value("select count(*) from answers") == 3
    assert store.rows("select action from valid_answers") == [{"action": "cant_tell"}]
    with pytest.raises(NoQuestion):
        desk.undo(PEOPLE[1])


def test_repeats_take_no_raters_slot(store):
    """A question is open until raters enough have answered it, however often one of them was asked twice."""
    change_settings(store, check_share=0.5, random_share=0.0)
    simulate(store, make_desk(store), Oracle(store, WEIGHTS), SimulateOptions(annotators=4, answers=600, form="odd"))
    assert store.value("select count(*) from leases where purpose = 'repeat'") > 50
    full = (
        "select count(*) from questions q where q.is_open = 1 and q.wanted <= "
        "(select count(*) from leases l where l.question_id = q.id and l.state = 'counted') and q.wanted > "
        "(select count(*) from valid_answers a where a.question_id = q.id and a.purpose != 'repeat')"
    )
    asked = [row["id"] for row in store.rows(full.replace("count(*) from questions q", "q.id from questions q", 1))]
    assert asked, "some have a repeat in the place of a rater"
    add_annotators(store, "link:new")
    desk, offered = make_desk(store), set()
    change_settings(store, check_share=0.0)
    while not offered >= set(asked):
        one = desk.ask("link:new", form="odd", holding=None)
        assert one.question not in offered and len(offered) < 300
        offered.add(one.question)


def test_what_is_no_answer_is_refused(store):
    desk = make_desk(store)
    asked = desk.ask(PEOPLE[0])
    for action, places in (("choice", []), ("choice", [3]), ("choice", [0, 1]), ("like", [0]), ("choice", ["0"])):
        with pytest.raises(InputError):
            desk.answer(asked.lease, action, places)
    with pytest.raises(InputError, match="unknown"):
        desk.answer("nothing", "choice", [0])
    assert store.value("select count(*) from answers") == 0


def test_shares_of_purposes_are_kept(store):
    change_settings(store, check_share=0.1, redundancy=1, most_raters=1)
    with store.write() as db:
        row = ("g" * 32, "odd", "gold", "test", None, None, None, 0, 0, now())
        db.execute(f"insert into questions values ({', '.join('?' * 10)})", row)
        db.execute("insert into gold values (?, '[2]', '', ?)", (row[0], now()))
        for k in range(3):
            db.execute("insert into question_images values (?, ?, ?)", (row[0], k, f"{k:032x}"))
    desk = make_desk(store)
    purposes = []
    for _ in range(300):
        asked = desk.ask(PEOPLE[0])
        purposes.append(asked.purpose)
        desk.answer(asked.lease, "choice", [0])
    shares = {name: purposes.count(name) / 300 for name in set(purposes)}
    assert abs(shares["informative"] - 0.7) < 0.09 and abs(shares["random"] - 0.2) < 0.07
    assert purposes.count("gold") == 1 and 4 < purposes.count("repeat") < 40


def test_too_small_a_pool_is_said(tmp_path):
    store = make_store(tmp_path / "b.db", 2)
    add_annotators(store, "link:a")
    with pytest.raises(NoQuestion, match="holds 2 images"):
        make_desk(store).ask("link:a", form="odd")
    with pytest.raises(InputError, match="no form"):
        make_desk(store).ask("link:a", form="pairs")


def test_new_images_are_asked_about_and_forgotten_ones_are_not(store):
    index = LiveIndex(store, WEIGHTS)
    before = len(index.current().ids)
    with store.write() as db:
        db.execute("delete from embeddings where image_id = ?", (f"{0:032x}",))
        db.execute("delete from images where id = ?", (f"{0:032x}",))
    assert before == 40 and len(build_index(store, WEIGHTS).ids) == 39


def test_a_forgotten_image_is_not_asked_about_even_before_the_rebuild(store):
    index = LiveIndex(store, WEIGHTS)
    desk = Desk(store, index, seed=0)
    used = {row["image_id"] for row in store.rows("select image_id from question_images")}
    image = next(i for i in index.current().ids if i not in used)
    forget_image(store, image)
    left = index.current()
    assert image not in left.ids and len(left.ids) == len(left.vectors) == len(left.uses) == 39
    assert [left.places[i] for i in left.ids] == list(range(39))
    for form in ("odd", "grid") * 20:
        desk.ask(PEOPLE[0], form=form)
    assert store.value("select count(*) from question_images where image_id = ?", (image,)) == 0


def test_an_image_forgotten_while_its_question_is_drawn_costs_a_moment(store, monkeypatch):
    desk = make_desk(store)
    gone = Proposal(["f" * 32, f"{1:032x}", f"{2:032x}"], 0.5, None, WEIGHTS)
    monkeypatch.setattr(desk, "_propose", lambda *_: gone)
    with pytest.raises(NoQuestion, match="Looking") as caught:
        desk.ask(PEOPLE[0], form="odd")
    assert not isinstance(caught.value, AllDone) and check_store(store) == []


def test_a_page_that_was_reloaded_gets_its_questions_again(store):
    desk = make_desk(store)
    first = desk.ask(PEOPLE[0], holding=[])
    second = desk.ask(PEOPLE[0], holding=[first.lease])
    assert second.question != first.question
    assert desk.ask(PEOPLE[0], holding=[]) == first and desk.ask(PEOPLE[0], holding=[first.lease]) == second
    desk.answer(first.lease, "choice", [0])
    assert desk.ask(PEOPLE[0], holding=[]) == second
    again = desk.undo(PEOPLE[0])
    assert desk.ask(PEOPLE[0], holding=[]) == again
    assert desk.ask(PEOPLE[1], holding=[]).lease not in (again.lease, second.lease)
    assert store.value("select count(*) from leases where annotator_id = ?", (PEOPLE[0],)) == 3


def test_a_question_comes_back_after_its_lease_ran_out_unless_others_took_the_slots(store):
    change_settings(store, redundancy=1, most_raters=1, random_share=0.0, check_share=0.0)
    desk = make_desk(store)
    mine = desk.ask(PEOPLE[0], holding=[])
    with store.write() as db:
        db.execute("update leases set expires = '2000'")
    assert desk.ask(PEOPLE[0], holding=[]) == mine
    assert store.value("select expires from leases") > now()
    with store.write() as db:
        db.execute("update leases set expires = '2000'")
    theirs = desk.ask(PEOPLE[1], holding=[])
    assert theirs.question == mine.question
    assert desk.ask(PEOPLE[0], holding=[]).question != mine.question


def test_a_small_study_ends_once_everyone_was_asked_everything(tmp_path):
    store = make_store(tmp_path / "small.db", 4)
    change_settings(store, random_share=0.5, check_share=0.0, grid_share=0.5)
    add_annotators(store, *PEOPLE[:2])
    for person in PEOPLE[:2]:
        desk, sets = make_desk(store), set()
        for _ in range(4):  # four images make four triplets
            asked = desk.ask(person, holding=[])
            sql = "select image_id from question_images where question_id = ?"
            sets.add(frozenset(row["image_id"] for row in store.rows(sql, (asked.question,))))
            desk.answer(asked.lease, "choice", [0])
        assert len(sets) == 4
        with pytest.raises(AllDone):
            desk.ask(person, holding=[])
    assert store.value("select count(*) from questions") == 4
    assert store.value("select count(*) from questions where is_open = 1") == 4  # they still want a third rater


def test_a_small_pool_of_grids_ends_too(tmp_path):
    store = make_store(tmp_path / "grids.db", 13)
    add_annotators(store, PEOPLE[0])
    desk, targets = make_desk(store), []
    with pytest.raises(AllDone):
        for _ in range(14):
            asked = desk.ask(PEOPLE[0], form="grid")
            sql = "select image_id from question_images where question_id = ? and position = 0"
            targets.append(store.value(sql, (asked.question,)))
    assert len(targets) > 8 and len(set(targets)) == len(targets)


def test_gold_does_not_open_when_answered(store):
    with store.write() as db:
        row = ("g" * 32, "odd", "gold", "test", None, None, None, 0, 0, now())
        insert_question(db, row, [f"{k:032x}" for k in range(3)])
        db.execute("insert into gold values (?, '[2]', '', ?)", (row[0], now()))
    change_settings(store, check_share=1.0, random_share=0.0)
    desk = make_desk(store)
    while (asked := desk.ask(PEOPLE[0], form="odd")).purpose != "gold":
        pass
    desk.answer(asked.lease, "choice", [0])
    assert store.rows("select is_open, wanted from questions where purpose = 'gold'") == [{"is_open": 0, "wanted": 0}]


def test_a_simulated_crowd_agrees_with_its_oracle(store):
    change_settings(store, grid_share=0.3)
    oracle = Oracle(store, WEIGHTS)
    filed, clickers = simulate(store, make_desk(store), oracle, SimulateOptions(5, 200, noise=0.0, clickers=0.2))
    assert filed == 200 and len(clickers) == 1
    forms = {row["form"] for row in store.rows("select distinct form from questions")}
    assert forms == {"odd", "grid"}
    for row in store.rows(
        "select a.question_id, a.choice from answers a join questions q on q.id = a.question_id "
        "where q.form = 'odd' and a.annotator_id != ?",
        (clickers[0],),
    ):
        sql = "select image_id from question_images where question_id = ? order by position"
        points = oracle.vectors([r["image_id"] for r in store.rows(sql, (row["question_id"],))])
        assert json.loads(row["choice"]) == [int(pair_distances(points).argmin())]


def test_an_excluded_annotator_takes_no_slot(store):
    change_settings(store, redundancy=1, most_raters=1, random_share=0.0)
    desk = make_desk(store)
    asked = desk.ask(PEOPLE[0])
    exclude_annotator(store, PEOPLE[0], is_excluded=True, reason="test")
    answer = desk.answer(asked.lease, "choice", [0])
    assert desk.answer(asked.lease, "choice", [0]) == answer and check_store(store) == []
    assert desk.ask(PEOPLE[1]).question == asked.question
