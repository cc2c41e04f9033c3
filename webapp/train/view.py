"""What the Train tab shows of a run, as HTML: its state, curves, log and figures."""

import html
import time
from collections.abc import Sequence
from typing import Any

from freeavatar.models.library import list_bundles
from training.engine.metrics import read_metrics
from training.jobs.job import LOG, Run

_STEPS = {
    "rehearsal": "Rehearsal faces", "encoder": "Training", "decoder": "Rig decoder", "compare": "Comparison",
}  # fmt: skip
_WORDS = {
    "starting": "Starting", "running": "Running", "stopped": "Stopped", "failed": "Failed", "finished": "Finished",
}  # fmt: skip
_WIDTH, _HEIGHT = 420, 170
_LOSSES = ("listed_triplets", "rig_triplets", "emotion_triplets", "rig", "silver", "emotion", "distillation")
_ROWS = {
    "held_out": "held-out answers",
    "held_out_new": "... on pictures no training answer shows",
    "validation": "shipped faces: same rig on another avatar",
}
Point = tuple[float, float]
Band = tuple[float, float, float]


def note(text: str) -> str:
    """A sentence in a box."""
    return f'<div class="fa-status" role="status">{html.escape(text)}</div>'


def run_page(run: Run | None) -> str:
    """Everything there is to say of a run."""
    if run is None:
        return note("No run yet. Choose the labels and press Start: the run goes on if you close this page.")
    lines = read_metrics(run.folder / "encoder")
    parts = [_head(run, lines), _curves(run, lines), _log(run)]
    return f'<div class="trn">{"".join(parts)}</div>'


def _head(run: Run, lines: list[dict[str, float]]) -> str:
    state, status = run.state, run.status
    told = run.reason[:1].upper() + run.reason[1:] if state == "failed" else _progress_words(run, lines)
    done = set(status.get("done", []))
    steps = "".join(
        f'<li class="{"done" if name in done else "now" if status.get("stage") == name else ""}">{title}</li>'
        for name, title in _STEPS.items()
        if name != "decoder" or run.config.is_refitted
    )
    title = html.escape(run.config.title or run.id)
    share = _share(run, lines)
    bar = f'<div class="fa-track"><div class="fa-fill" style="width:{100 * share:.1f}%"></div></div>'
    return (
        f'<div class="fa-status trn-head" role="status"><b class="trn-state {state}">{_WORDS[state]}</b> '
        f"<b>{title}</b><ol>{steps}</ol><div>{html.escape(told)}</div>{bar if run.is_going else ''}</div>"
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


def _progress_words(run: Run, lines: list[dict[str, float]]) -> str:
    if run.state == "finished":
        minutes = sum(run.status.get("seconds", {}).values()) / 60
        return f"Done in {minutes:.1f} minutes. The new bundle is {run.status.get('bundle', '?')}."
    if run.state == "stopped":
        return "Saved. Resume goes on where it stopped." if lines else "Not begun. Resume starts it."
    if run.state == "starting":
        return "Waiting for its process, or for the cluster."
    words = run.status.get("title", "")
    if run.status.get("stage") == "encoder" and lines:
        words += ": " + _pace(run, lines)
    if run.status.get("stage") == "decoder":
        words += f": step {_refitted(run):.0f} of {run.config.amount.refit}"
    return words


def _pace(run: Run, lines: list[dict[str, float]]) -> str:
    """Steps, throughput and time left."""
    plan = run.config.amount
    timed = [line for line in lines if "minutes" in line]
    step, minutes = (timed or lines)[-1]["step"], timed[-1]["minutes"] if timed else 0.0
    if not minutes:
        return f"step {step:.0f} of {plan.steps}"
    speed = step * plan.batch / minutes / 60
    left = minutes / step * (plan.steps - step)
    return f"step {step:.0f} of {plan.steps} · {speed:.0f} images/s · about {_minutes(left)} left in this stage"


def _minutes(value: float) -> str:
    return f"{value:.0f} minutes" if value >= 1.5 else f"{60 * value:.0f} s"


def _curves(run: Run, lines: list[dict[str, float]]) -> str:
    losses = [(line["step"], sum(line.get(name, 0.0) for name in _LOSSES)) for line in lines if "minutes" in line]
    labels = [(line["step"], line["listed_triplets"]) for line in lines if "listed_triplets" in line]
    found = [line for line in lines if "held_out" in line]
    accuracy = [(line["step"], 100 * line["held_out"]) for line in found]
    band = [(line["step"], 100 * line["held_out_low"], 100 * line["held_out_high"]) for line in found]
    steps = run.config.amount.steps
    return (
        '<div class="trn-curves">'
        + chart("Loss: all, and on the labels (dashed)", losses, steps, other=labels)
        + chart("Held-out answers met, %, with the 95 % interval", accuracy, steps, band=band)
        + "</div>"
    )


def chart(
    title: str,
    points: list[Point],
    steps: int,
    *,
    other: Sequence[Point] = (),
    band: Sequence[Band] = (),
) -> str:
    """A line over the steps of a run, as an SVG that takes the page's colours.

    Args:
        title: what it shows.
        points: step and value.
        steps: of the whole run.
        other: a second line, dashed.
        band: step, low and high of an interval.
    """
    values = [value for _, value in [*points, *other]] + [end for _, *ends in band for end in ends]
    if not values:
        return f"<figure><figcaption>{title}</figcaption><p>Nothing to show yet.</p></figure>"
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
        f'aria-label="{html.escape(title)}, now {last}">{grid}{ends}{steps} steps</text>{shade}{dashed}'
        f'<polyline points="{" ".join(place(*p) for p in points)}"/>{bars}{dots}</svg></figure>'
    )


def _log(run: Run) -> str:
    path = run.folder / LOG
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 6000))
        lines = file.read().decode(errors="replace").splitlines()[-14:]
    tail = html.escape("\n".join(lines))
    return f'<details open><summary>Log</summary><div class="trn-log" tabindex="0"><pre>{tail}</pre></div></details>'


def report_page(report: dict[str, Any]) -> str:
    """Before and after, and what it means."""
    if not report:
        return ""
    rows = [_row(title, report[name]) for name, title in _ROWS.items() if name in report]
    if "rig" in report:
        before, after = report["rig"]["before"], report["rig"]["after"]
        rows.append(
            f"<tr><td>shipped faces: rigs decoded, mean r</td><td>{before:.3f}</td><td>{after:.3f}</td>"
            f"<td>{after - before:+.3f}</td></tr>"
        )
    head = "<tr><th>measured on</th><th>before</th><th>after</th><th>difference [95 %]</th></tr>"
    table = f'<div class="trn-scroll" tabindex="0"><table>{head}{"".join(rows)}</table></div>'
    return f'<div class="trn"><p class="trn-verdict">{html.escape(verdict_words(report))}</p>{table}</div>'


def _row(title: str, pair: dict[str, Any]) -> str:
    if pair["verdict"] == "too few":
        count = pair["difference"]["count"]
        return f'<tr><td>{title}</td><td colspan="3" class="trn-few">{count} are too few to see a difference</td></tr>'
    before, after, change = pair["before"], pair["after"], pair["difference"]
    shown = (
        f"<td>{100 * figure['value']:.1f} % <small>[{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]</small></td>"
        for figure in (before, after)
    )
    points = f"{100 * change['value']:+.1f} <small>[{100 * change['low']:+.1f}, {100 * change['high']:+.1f}]</small>"
    return f"<tr><td>{title} <small>({change['count']})</small></td>{''.join(shown)}<td>{points}</td></tr>"


def verdict_words(report: dict[str, Any]) -> str:
    """What the figures say, in a sentence or two."""
    pair = report.get("held_out")
    if pair is None:
        return "Nobody answered a random question yet, so nothing says whether people agree more with the new bundle."
    count, change = pair["difference"]["count"], 100 * pair["difference"]["value"]
    return {
        "better": f"The new bundle agrees with more of the {count} held-out answers: {change:+.1f} points.",
        "worse": f"The new bundle agrees with fewer of the {count} held-out answers: {change:+.1f} points.",
        "alike": f"On {count} held-out answers no difference is to be seen.",
        "too few": f"{count} held-out answers are too few to see a difference: answer more random ones.",
    }[pair["verdict"]]


def bundles_page() -> str:
    """The library, the adopted one marked."""
    rows = []
    for entry in reversed(list_bundles()):
        mark = '<b class="trn-used">in use</b>' if entry.is_adopted else ""
        base = html.escape(str(entry.lineage.get("base", "")))
        made = html.escape(str(entry.lineage.get("created", ""))[:16].replace("T", " "))
        rows.append(
            f"<tr><td>{html.escape(entry.title)}</td><td><code>{entry.id}</code></td><td><code>{base}</code></td>"
            f"<td>{made}</td><td>{mark}</td></tr>"
        )
    head = "<tr><th>bundle</th><th>id</th><th>made from</th><th>when</th><th><span>state</span></th></tr>"
    return f'<div class="trn"><div class="trn-scroll" tabindex="0"><table>{head}{"".join(rows)}</table></div></div>'


def run_name(run: Run) -> str:
    """A run in a list."""
    when = time.strftime("%d %b %H:%M", time.strptime(run.id[:15], "%Y%m%d-%H%M%S"))
    return f"{when} · {run.config.title or run.config.preset} · {_WORDS[run.state].lower()}"
