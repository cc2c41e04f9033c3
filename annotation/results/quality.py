"""How well annotators agree, and who does not look.

Categories are positions in a question's canonical order, so that one who always presses the same key
does not agree with himself.
"""

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotation.pool.index import pool_ids
from annotation.store.store import Store
from annotation.store.votes import Tally, read_tallies

Vote = tuple[Hashable, Hashable, Hashable]
"""Question, annotator, choice."""
_EPS = 1e-10
_CLICKER_PRIOR = 0.05
_ASKED = (
    "select distinct image_id from question_images i join questions q on q.id = i.question_id "
    "where q.purpose in ('informative', 'random')"
)
_CHECKS = ("repeat", "practice", "gold")
"""Answers that say something of the annotator by themselves, and nothing of how people agree."""
_GOLD_SKILL, _REPEAT_SKILL = 0.9, 0.75
"""How often somebody who looks gets gold right, and answers a repeat alike."""


def krippendorff_alpha(votes: Sequence[Vote]) -> float:
    """Krippendorff's alpha for nominal data (Krippendorff 2011, "Computing Krippendorff's alpha-reliability").

    Args:
        votes: question, annotator, choice; questions with one vote take no part.

    Returns:
        1 for perfect agreement, 0 for chance; nan without two votes on some question or two categories.
    """
    units: dict[Hashable, Counter] = defaultdict(Counter)
    for question, _, choice in votes:
        units[question][choice] += 1
    paired = [counts for counts in units.values() if counts.total() > 1]
    total = sum(paired, Counter())
    n = total.total()
    observed = sum(
        (counts.total() ** 2 - sum(c * c for c in counts.values())) / (counts.total() - 1) for counts in paired
    )
    expected = n * n - sum(c * c for c in total.values())
    return 1 - (n - 1) * observed / expected if expected else float("nan")


@dataclass(frozen=True)
class Consensus:
    """What one-coin Dawid-Skene makes of the votes."""

    questions: list[Hashable]
    labels: list[Hashable]
    posterior: np.ndarray
    """Probability of each label, ``(questions, labels)``."""
    skills: dict[Hashable, float]
    """Probability that an annotator gives the true label."""


def dawid_skene(votes: Sequence[Vote], *, rounds: int = 100, tolerance: float = 1e-5) -> Consensus:
    """One-coin Dawid-Skene by expectation maximisation (Zhang et al. 2014, section 2).

    An annotator is right with probability *skill* and otherwise picks any other label.

    Args:
        votes: question, annotator, choice.
        rounds: at most.
        tolerance: stops when skills change by less.
    """
    questions, labels = list(dict.fromkeys(v[0] for v in votes)), sorted({v[2] for v in votes}, key=repr)
    people = list(dict.fromkeys(v[1] for v in votes))
    if len(labels) < 2:
        posterior = np.ones((len(questions), len(labels)))
        return Consensus(questions, labels, posterior, dict.fromkeys(people, 1.0))
    places = [{key: k for k, key in enumerate(keys)} for keys in (questions, people, labels)]
    rows, who, what = (np.array([places[k][v[k]] for v in votes]) for k in range(3))
    counts = np.zeros((len(questions), len(labels)))
    np.add.at(counts, (rows, what), 1)
    posterior = counts / counts.sum(1, keepdims=True)
    answered = np.bincount(who, minlength=len(people))
    skills = np.zeros(len(people))
    for _ in range(rounds):
        before, prior = skills, posterior.mean(0)
        skills = np.bincount(who, posterior[rows, what], len(people)) / answered
        likelihood = _log_likelihood(skills[who], what, len(labels))
        logits = np.log(np.clip(prior, _EPS, 1)) + np.zeros_like(counts)
        np.add.at(logits, rows, likelihood)
        posterior = np.exp(logits - logits.max(1, keepdims=True))
        posterior /= posterior.sum(1, keepdims=True)
        if np.abs(skills - before).max() < tolerance:
            break
    skills = np.bincount(who, posterior[rows, what], len(people)) / answered
    return Consensus(questions, labels, posterior, dict(zip(people, skills.tolist(), strict=True)))


def _log_likelihood(skills: np.ndarray, what: np.ndarray, labels: int) -> np.ndarray:
    """Of each vote under each true label, ``(votes, labels)``."""
    wrong = np.clip((1 - skills) / (labels - 1), _EPS, 1 - _EPS)
    table = np.repeat(np.log(wrong)[:, None], labels, axis=1)
    table[np.arange(len(what)), what] = np.log(np.clip(skills, _EPS, 1 - _EPS))
    return table


def two_thirds_share(tallies: Sequence[Tally]) -> float:
    """Share of questions with at least two votes on which two thirds or more chose the same; nan if none."""
    shares = [tally.majority()[1] for tally in tallies if len(tally.votes) > 1]
    return float(np.mean([share >= 2 / 3 - 1e-9 for share in shares])) if shares else float("nan")


@dataclass(frozen=True)
class AnnotatorFigures:
    """One annotator's record."""

    id: str
    answers: int
    cant_tell: float
    """Share of answers."""
    median_seconds: float
    gold: tuple[int, int]
    """Right, of how many."""
    repeats: tuple[int, int]
    """Answered alike, of how many."""
    skill: float
    """One-coin Dawid-Skene; nan without a vote."""
    clicker: float
    """Probability that the answers are chance, in [0, 1]."""
    is_excluded: bool


@dataclass(frozen=True)
class QualityReport:
    """The whole study."""

    answers: int
    per_hour: list[tuple[str, int]]
    """Hour (``2026-01-31T12``) and answers in it."""
    alpha: float
    """Krippendorff's alpha on all questions but gold."""
    alpha_random: float
    """Krippendorff's alpha on the randomly drawn questions alone."""
    two_thirds: float
    gold: tuple[int, int]
    repeats: tuple[int, int]
    images: int
    images_asked: int
    questions: int
    questions_open: int
    annotators: list[AnnotatorFigures]


def measure_quality(store: Store) -> QualityReport:
    """Every figure of the admin view."""
    tallies = [tally for tally in read_tallies(store, forms=("odd",)) if tally.purpose != "gold"]
    rows = store.rows(
        "select a.*, q.form from answers a join questions q on q.id = a.question_id where a.action != 'undo' "
        "and a.purpose != 'imported' and not exists (select 1 from answers u where u.undoes = a.id) order by a.id"
    )
    excluded = {row["annotator_id"] for row in store.rows("select annotator_id from excluded_annotators")}
    gold, repeats = _gold_by_annotator(store, rows), _repeats_by_annotator(rows)
    # The skills of the excluded are shown too, so that exclusion can be judged.
    votes = [
        (row["question_id"], row["annotator_id"], row["choice"])
        for row in rows
        if row["form"] == "odd" and row["action"] == "choice" and row["purpose"] not in _CHECKS
    ]
    consensus = dawid_skene(votes) if votes else Consensus([], [], np.zeros((0, 0)), {})
    evidence = _evidence(votes, consensus)
    by_annotator: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        by_annotator[row["annotator_id"]].append(row)
    people = [
        _figures(name, mine, gold[name], repeats[name], consensus.skills, evidence, name in excluded)
        for name, mine in sorted(by_annotator.items())
    ]
    counted = [row for row in rows if row["annotator_id"] not in excluded]
    kept = [person for person in people if not person.is_excluded]
    pool = set(pool_ids(store))
    asked = {row["image_id"] for row in store.rows(_ASKED)}
    return QualityReport(
        answers=len(rows),
        per_hour=sorted(Counter(row["created"][:13] for row in rows).items()),
        alpha=krippendorff_alpha(_votes_of(tallies)),
        alpha_random=krippendorff_alpha(_votes_of([t for t in tallies if t.purpose == "random"])),
        two_thirds=two_thirds_share(tallies),
        gold=_sum(person.gold for person in kept),
        repeats=_sum(person.repeats for person in kept),
        images=len(pool),
        images_asked=len(pool & asked),
        questions=len({row["question_id"] for row in counted}),
        questions_open=store.value("select count(*) from questions where is_open = 1"),
        annotators=people,
    )


def _sum(pairs) -> tuple[int, int]:
    found = list(pairs)
    return sum(right for right, _ in found), sum(total for _, total in found)


def _votes_of(tallies: Sequence[Tally]) -> list[Vote]:
    return [(tally.id, annotator, choice) for tally in tallies for annotator, choice in tally.votes]


def _gold_by_annotator(store: Store, rows: Sequence[Mapping]) -> dict[str, tuple[int, int]]:
    truth = {row["question_id"]: json.loads(row["choice"]) for row in store.rows("select * from gold")}
    counts: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in rows:
        if row["purpose"] == "gold" and row["question_id"] in truth:
            right, total = counts[row["annotator_id"]]
            is_right = json.loads(row["choice"]) == truth[row["question_id"]]
            counts[row["annotator_id"]] = (right + is_right, total + 1)
    return counts


def _repeats_by_annotator(rows: Sequence[Mapping]) -> dict[str, tuple[int, int]]:
    first: dict[tuple[str, str], str] = {}
    counts: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in rows:
        key = (row["annotator_id"], row["question_id"])
        if row["purpose"] == "repeat" and key in first:
            alike, total = counts[row["annotator_id"]]
            counts[row["annotator_id"]] = (alike + (row["choice"] == first[key]), total + 1)
        first.setdefault(key, row["choice"])
    return counts


def _evidence(votes: Sequence[Vote], consensus: Consensus) -> dict[Hashable, float]:
    """Log odds, from agreement with others alone, that an annotator looks rather than clicks by chance."""
    labels = len(consensus.labels)
    if labels < 2:
        return {}
    typical = float(np.clip(statistics.median(consensus.skills.values()), 1 / labels + 0.05, 0.95))
    places = {key: k for k, key in enumerate(consensus.questions)}
    columns = {key: k for k, key in enumerate(consensus.labels)}
    odds: dict[Hashable, float] = defaultdict(float)
    for question, annotator, choice in votes:
        column = columns[choice]
        skill = np.clip(consensus.skills[annotator], _EPS, 1 - _EPS)
        own = np.full(labels, (1 - skill) / (labels - 1))
        own[column] = skill
        others = consensus.posterior[places[question]] / own  # what the others alone say
        chance = others[column] / others.sum()
        looks = typical * chance + (1 - typical) / (labels - 1) * (1 - chance)
        odds[annotator] += float(np.log(looks * labels))
    return odds


def _figures(
    name: str, rows: Sequence[Mapping], gold: tuple[int, int], repeats: tuple[int, int],
    skills: Mapping[Hashable, float], evidence: Mapping[Hashable, float], is_excluded: bool,
) -> AnnotatorFigures:  # fmt: skip
    odds = evidence.get(name, 0.0) - np.log(_CLICKER_PRIOR / (1 - _CLICKER_PRIOR))
    for (right, total), skill in ((gold, _GOLD_SKILL), (repeats, _REPEAT_SKILL)):
        odds += right * np.log(3 * skill) + (total - right) * np.log(1.5 * (1 - skill))
    seconds = [row["seconds"] for row in rows if row["seconds"] is not None]
    return AnnotatorFigures(
        id=name,
        answers=len(rows),
        cant_tell=sum(row["action"] == "cant_tell" for row in rows) / len(rows),
        median_seconds=statistics.median(seconds) if seconds else float("nan"),
        gold=gold,
        repeats=repeats,
        skill=skills.get(name, float("nan")),
        clicker=float(1 / (1 + np.exp(np.clip(odds, -50, 50)))),
        is_excluded=is_excluded,
    )


@dataclass(frozen=True)
class MethodDuel:
    """Two methods compared by A/B questions."""

    methods: tuple[str, str]
    wins: tuple[int, int]
    cant_tell: int


def compare_methods(store: Store) -> list[MethodDuel]:
    """How often each method was preferred to each other."""
    rows = store.rows(
        "select c.method_0, c.method_1, a.action, a.choice from valid_answers a "
        "join comparisons c on c.question_id = a.question_id where a.purpose != 'repeat'"
    )
    wins: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for row in rows:
        methods = (row["method_0"], row["method_1"])
        first, second = sorted(methods)
        chosen = methods[json.loads(row["choice"])[0]] if row["action"] == "choice" else None
        wins[first, second][chosen] += 1
    return [MethodDuel(pair, (c[pair[0]], c[pair[1]]), c[None]) for pair, c in sorted(wins.items())]
