"""Agreement and skills, against crowd-kit and by hand."""

import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import OneCoinDawidSkene
from crowdkit.metrics.data import alpha_krippendorff

from annotation.asking.desk import Desk
from annotation.people.simulate import Oracle, SimulateOptions, simulate
from annotation.results.disputes import disputed
from annotation.results.quality import dawid_skene, krippendorff_alpha, measure_quality
from annotation.store.ids import now
from annotation.store.maintenance import exclude_annotator
from annotation.store.questions import insert_question
from annotation.store.settings import change_settings
from tests.labels import WEIGHTS, add_annotators, make_desk, make_store


def crowd(seed=0, questions=120, skills=(0.95, 0.9, 0.85, 0.8, 0.6, 0.34)):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, questions)
    votes = []
    for q in range(questions):
        for who in rng.choice(len(skills), 4, replace=False):
            wrong = (truth[q] + rng.integers(1, 3)) % 3
            votes.append((q, f"w{who}", int(truth[q] if rng.random() < skills[who] else wrong)))
    return votes, truth


def frame(votes):
    return pd.DataFrame(votes, columns=["task", "worker", "label"])


@pytest.mark.parametrize("seed", range(3))
def test_alpha_is_crowd_kits(seed):
    votes, _ = crowd(seed)
    assert krippendorff_alpha(votes) == pytest.approx(alpha_krippendorff(frame(votes)), abs=1e-9)


def test_alpha_of_perfect_agreement_is_1_and_of_nothing_is_nan():
    assert krippendorff_alpha([(0, "a", 1), (0, "b", 1), (1, "a", 2), (1, "b", 2)]) == 1
    assert np.isnan(krippendorff_alpha([])) and np.isnan(krippendorff_alpha([(0, "a", 1)]))


@pytest.mark.parametrize("seed", range(3))
def test_dawid_skene_is_crowd_kits(seed):
    votes, truth = crowd(seed)
    ours = dawid_skene(votes, rounds=100, tolerance=0)
    theirs = OneCoinDawidSkene(n_iter=100, tol=-1).fit(frame(votes))
    for who, skill in theirs.skills_.items():
        assert ours.skills[who] == pytest.approx(skill, abs=1e-3)
    columns = [ours.labels.index(label) for label in theirs.probas_.columns]
    np.testing.assert_allclose(ours.posterior[:, columns], theirs.probas_.loc[ours.questions].to_numpy(), atol=1e-3)
    found = np.array(ours.labels)[ours.posterior.argmax(1)]
    assert (found == truth[np.array(ours.questions)]).mean() > 0.9


def test_those_who_click_by_chance_are_found(tmp_path):
    store = make_store(tmp_path / "a.db", 60)
    change_settings(store, grid_share=0.0)
    options = SimulateOptions(annotators=20, answers=20 * 40, noise=0.1, clickers=0.1)
    _, clickers = simulate(store, make_desk(store), Oracle(store, WEIGHTS), options)
    report = measure_quality(store)
    flagged = {person.id for person in report.annotators if person.clicker > 0.5}
    assert flagged == set(clickers) and len(clickers) == 2
    assert report.answers == 800 and report.repeats[1] > 10 and report.alpha > 0.3
    skills = {person.id: person.skill for person in report.annotators}
    assert max(skills[name] for name in clickers) < min(s for name, s in skills.items() if name not in clickers)
    exclude_annotator(store, clickers[0], is_excluded=True, reason="chance")
    again = measure_quality(store)
    assert sum(person.is_excluded for person in again.annotators) == 1 and again.alpha > report.alpha


def test_gold_judges_the_annotator_once_and_agreement_not_at_all(tmp_path, monkeypatch):
    """Everybody is right on gold: that is evidence of nine tenths right, and no more."""
    store = make_store(tmp_path / "a.db")
    change_settings(store, grid_share=0.0)
    monkeypatch.setattr(Desk, "_draw_purpose", staticmethod(lambda *_: "gold"))
    with store.write() as db:
        for k in range(12):
            row = (f"{k:032d}", "odd", "gold", "test", None, None, None, 0, 0, now())
            insert_question(db, row, [f"{3 * k + j:032x}" for j in range(3)])
            db.execute("insert into gold values (?, '[2]', '', ?)", (row[0], now()))
    add_annotators(store, "ann", "bob")
    desk = make_desk(store)
    for name in ("ann", "bob") * 12:
        asked = desk.ask(name)
        desk.answer(asked.lease, "choice", [asked.shown.index(2)])
    report = measure_quality(store)
    assert report.gold == (24, 24) and np.isnan(report.alpha) and np.isnan(report.two_thirds)
    odds = 12 * np.log(3 * 0.9) - np.log(0.05 / 0.95)
    assert [person.clicker for person in report.annotators] == pytest.approx([1 / (1 + np.exp(odds))] * 2)


def test_disputes_come_with_pictures_and_votes(tmp_path):
    store = make_store(tmp_path / "a.db")
    change_settings(store, grid_share=0.0)
    simulate(store, make_desk(store), Oracle(store, WEIGHTS), SimulateOptions(10, 200, noise=0.8))
    first = disputed(store, 5)[0]
    assert len(first.crops) == 3 and sum(first.votes) >= 2 and max(first.votes) / sum(first.votes) <= 0.5


def test_an_empty_store_has_a_report(tmp_path):
    report = measure_quality(make_store(tmp_path / "a.db"))
    assert report.answers == 0 and np.isnan(report.alpha) and report.annotators == [] and report.images == 40
