"""What the Train tab shows of a run, as HTML: its state, curves, log and figures."""

import html
import time
from collections.abc import Sequence
from typing import Any

from freeavatar.models.library import DEFAULT, Entry, list_bundles
from training.engine.metrics import read_metrics
from training.jobs.job import LOG, Run
from webapp.common.boxes import note
from webapp.common.words import say

_STEPS = ("rehearsal", "encoder", "decoder", "compare")
_COLUMNS = ("id", "base", "when", "state")
_WIDTH, _HEIGHT = 420, 170
_LOSSES = ("listed_triplets", "rig_triplets", "emotion_triplets", "rig", "silver", "emotion", "distillation")
_MEASURED = ("held_out", "held_out_new", "validation")
Point = tuple[float, float]
Band = tuple[float, float, float]


def run_page(run: Run | None, language: str) -> str:
    """Everything there is to say of a run."""
    if run is None:
        return note(say(language, "train.view.none"))
    lines = read_metrics(run.folder / "encoder")
    parts = [_head(run, lines, language), _curves(run, lines, language), _log(run, language)]
    return f'<div class="trn">{"".join(parts)}</div>'


def _head(run: Run, lines: list[dict[str, float]], language: str) -> str:
    state, status = run.state, run.status
    text = run.reason[:1].upper() + run.reason[1:] if state == "failed" else _progress_words(run, lines, language)
    done = set(status.get("done", []))
    steps = "".join(
        f'<li class="{"done" if name in done else "now" if status.get("stage") == name else ""}">'
        f"{say(language, f'train.step.{name}')}</li>"
        for name in _STEPS
        if name != "decoder" or run.config.is_refitted
    )
    title = html.escape(run.config.title or run.id)
    share = _share(run, lines)
    bar = f'<div class="fa-track"><div class="fa-fill" style="width:{100 * share:.1f}%"></div></div>'
    return (
        f'<div class="fa-status trn-head" role="status"><b class="trn-state {state}">'
        f"{say(language, f'train.state.{state}')}</b> "
        f"<b>{title}</b><ol>{steps}</ol><div>{html.escape(text)}</div>{bar if run.is_going else ''}</div>"
    )


def _share(run: Run, lines: list[dict[str, float]]) -> float:
    done, plan = run.status.get("done", []), run.config.amount
    if "decoder" in done or ("encoder" in done and not run.config.is_refitted):
        return 0.9
    if "encoder" in done:
        return 0.8 + 0.1 * (_refitted(run) / plan.refit)
    return 0.1 * ("rehearsal" in done) + 0.7 * (lines[-1]["step"] / plan.steps if lines else 0)


def _refitted(run: Run) -> float:
    """Steps of the rig decoder that are done."""
    lines = read_metrics(run.folder / "decoder")
    return lines[-1]["step"] if lines else 0


def _progress_words(run: Run, lines: list[dict[str, float]], language: str) -> str:
    if run.state == "finished":
        minutes = f"{sum(run.status.get('seconds', {}).values()) / 60:.1f}"
        return say(language, "train.done", minutes=minutes, bundle=run.status.get("bundle", "?"))
    if run.state == "stopped":
        return say(language, "train.saved") if lines else say(language, "train.not_begun")
    if run.state == "starting" or not run.status.get("stage"):
        return say(language, "train.waiting")
    stage = run.status["stage"]
    title = say(language, f"train.doing.{stage}")
    if stage == "encoder" and lines:
        return _pace(run, lines, title, language)
    if stage == "decoder":
        steps = run.config.amount.refit
        return say(language, "train.step.at", title=title, step=round(_refitted(run)), steps=steps)
    return title


def _pace(run: Run, lines: list[dict[str, float]], title: str, language: str) -> str:
    """Steps, throughput and time left."""
    plan = run.config.amount
    timed = [line for line in lines if "minutes" in line]
    step, minutes = (timed or lines)[-1]["step"], timed[-1]["minutes"] if timed else 0.0
    at = {"title": title, "step": round(step), "steps": plan.steps}
    if not minutes:
        return say(language, "train.step.at", **at)
    speed = round(step * plan.batch / minutes / 60)
    left = _minutes(minutes / step * (plan.steps - step), language)
    return say(language, "train.pace", **at, speed=speed, left=left)


def _minutes(value: float, language: str) -> str:
    if value >= 1.5:
        return say(language, "train.minutes", count=round(value))
    return say(language, "train.seconds", count=round(60 * value))


def _curves(run: Run, lines: list[dict[str, float]], language: str) -> str:
    losses = [(line["step"], sum(line.get(name, 0.0) for name in _LOSSES)) for line in lines if "minutes" in line]
    labels = [(line["step"], line["listed_triplets"]) for line in lines if "listed_triplets" in line]
    found = [line for line in lines if "held_out" in line]
    accuracy = [(line["step"], 100 * line["held_out"]) for line in found]
    band = [(line["step"], 100 * line["held_out_low"], 100 * line["held_out_high"]) for line in found]
    steps = run.config.amount.steps
    return (
        '<div class="trn-curves">'
        + chart(say(language, "train.chart.loss"), losses, steps, language, other=labels)
        + chart(say(language, "train.chart.held"), accuracy, steps, language, band=band)
        + "</div>"
    )


def chart(
    title: str,
    points: list[Point],
    steps: int,
    language: str,
    *,
    other: Sequence[Point] = (),
    band: Sequence[Band] = (),
) -> str:
    """A line over the steps of a run, as an SVG that takes the page's colours.

    Args:
        title: what it shows.
        points: step and value.
        steps: of the whole run.
        language: of what is written around it.
        other: a second line, dashed.
        band: step, low and high of an interval.
    """
    values = [value for _, value in [*points, *other]] + [end for _, *ends in band for end in ends]
    if not values:
        return f"<figure><figcaption>{title}</figcaption><p>{say(language, 'train.chart.none')}</p></figure>"
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.5
    low, high = low - margin, high + margin

    def place(step: float, value: float) -> str:
        x, y = 44 + step / steps * (_WIDTH - 56), 8 + (high - value) / (high - low) * (_HEIGHT - 34)
        return f"{x:.1f},{y:.1f}"

    marks = [low + (high - low) * k / 3 for k in range(4)]
    digits = 0 if high - low > 6 else 1 if high - low > 0.6 else 2 if high - low > 0.06 else 4
    grid = "".join(
        f'<path d="M{place(0, mark)} L{place(steps, mark)}"/><text x="38" y="{place(0, mark).split(",")[1]}" '
        f'dy="4" text-anchor="end">{mark:.{digits}f}</text>'
        for mark in marks
    )
    ends = f'<text x="44" y="{_HEIGHT - 6}">0</text><text x="{_WIDTH - 12}" y="{_HEIGHT - 6}" text-anchor="end">'
    around = [place(step, top) for step, _, top in band] + [place(step, base) for step, base, _ in reversed(band)]
    shade = f'<polygon points="{" ".join(around)}"/>' if band else ""
    bars = "".join(f'<path class="bar" d="M{place(x, base)} L{place(x, top)}"/>' for x, base, top in band)
    dots = "".join('<circle cx="{}" cy="{}" r="3.5"/>'.format(*place(*p).split(",")) for p in points) if band else ""
    dashed = f'<polyline class="dashed" points="{" ".join(place(*p) for p in other)}"/>' if other else ""
    last = f"{points[-1][1]:.{max(digits, 1)}f}" if points else ""
    return (
        f'<figure><figcaption>{title}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{html.escape(say(language, "train.chart.now", title=title, value=last))}">'
        f"{grid}{ends}{say(language, 'train.chart.steps', count=steps)}</text>{shade}{dashed}"
        f'<polyline points="{" ".join(place(*p) for p in points)}"/>{bars}{dots}</svg></figure>'
    )


def _log(run: Run, language: str) -> str:
    path = run.folder / LOG
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 6000))
        lines = file.read().decode(errors="replace").splitlines()[-14:]
    tail = html.escape("\n".join(lines))
    title = say(language, "train.log")
    return (
        f'<details open><summary>{title}</summary><div class="trn-log" tabindex="0"><pre>{tail}</pre></div></details>'
    )


def report_page(report: dict[str, Any], language: str) -> str:
    """Before and after, and what it means."""
    if not report:
        return ""
    rows = [_row(name, report[name], language) for name in _MEASURED if report.get(name)]
    if "rig" in report:
        before, after = report["rig"]["before"], report["rig"]["after"]
        rows.append(
            f"<tr><td>{say(language, 'train.row.rig')}</td><td>{before:.3f}</td><td>{after:.3f}</td>"
            f"<td>{after - before:+.3f}</td></tr>"
        )
    titles = [say(language, f"train.head.{name}") for name in ("on", "before", "after", "difference")]
    head = f"<tr>{''.join(f'<th>{title}</th>' for title in titles)}</tr>"
    table = f'<div class="trn-scroll" tabindex="0"><table>{head}{"".join(rows)}</table></div>'
    return f'<div class="trn"><p class="trn-verdict">{html.escape(verdict_words(report, language))}</p>{table}</div>'


def _row(name: str, pair: dict[str, Any], language: str) -> str:
    title = say(language, f"train.row.{name}")
    if pair["verdict"] == "too few":
        few = say(language, "train.row.few", count=pair["difference"]["count"])
        return f'<tr><td>{title}</td><td colspan="3" class="trn-few">{few}</td></tr>'
    before, after, change = pair["before"], pair["after"], pair["difference"]
    shown = (
        f"<td>{100 * figure['value']:.1f} % <small>[{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]</small></td>"
        for figure in (before, after)
    )
    points = f"{100 * change['value']:+.1f} <small>[{100 * change['low']:+.1f}, {100 * change['high']:+.1f}]</small>"
    return f"<tr><td>{title} <small>({change['count']})</small></td>{''.join(shown)}<td>{points}</td></tr>"


def verdict_words(report: dict[str, Any], language: str) -> str:
    """What the figures say, in a sentence or two."""
    pair = report.get("held_out_new", report.get("held_out"))
    if pair is None:
        return say(language, "train.verdict.seen" if report.get("held_out") else "train.verdict.none")
    count, points = pair["difference"]["count"], f"{100 * pair['difference']['value']:+.1f}"
    return say(language, f"train.verdict.{pair['verdict']}", count=count, points=points)


def title_of(entry: Entry, language: str) -> str:
    """How a bundle is called on the page."""
    return say(language, "train.base.default") if entry.name == DEFAULT else entry.title


def bundles_page(language: str) -> str:
    """The library, the adopted one marked."""
    rows, used = [], say(language, "train.bundle.used")
    for entry in reversed(list_bundles()):
        mark = f'<b class="trn-used">{used}</b>' if entry.is_adopted else ""
        base = html.escape(str(entry.lineage.get("base", "")))
        made = html.escape(str(entry.lineage.get("created", ""))[:16].replace("T", " "))
        rows.append(
            f"<tr><td>{html.escape(title_of(entry, language))}</td><td><code>{entry.id}</code></td>"
            f"<td><code>{base}</code></td><td>{made}</td><td>{mark}</td></tr>"
        )
    titles = [say(language, key) for key in ("train.bundle", *(f"train.bundle.{name}" for name in _COLUMNS))]
    titles[-1] = f"<span>{titles[-1]}</span>"
    head = "".join(f"<th>{title}</th>" for title in titles)
    table = f"<table><tr>{head}</tr>{''.join(rows)}</table>"
    return f'<div class="trn"><div class="trn-scroll" tabindex="0">{table}</div></div>'


def run_name(run: Run, language: str) -> str:
    """A run in a list."""
    when = time.strftime("%d %b %H:%M", time.strptime(run.id[:15], "%Y%m%d-%H%M%S"))
    return f"{when} · {run.config.title or run.config.preset} · {say(language, f'train.state.{run.state}').lower()}"
