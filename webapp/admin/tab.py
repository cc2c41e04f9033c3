"""The Label admin tab: how the study goes, who does not look, what is disputed; behind a password."""

import html
import math
from pathlib import Path
from typing import Any

import gradio as gr

from annotation.people.completions import read_completions
from annotation.people.session import data_url
from annotation.pool.builtin import builtin_failure
from annotation.results.disputes import Dispute, disputed
from annotation.results.quality import QualityReport, compare_methods, measure_quality
from annotation.store.maintenance import exclude_annotator
from annotation.store.store import Store, default_path
from freeavatar.errors import FreeAvatarError
from webapp.common.doors import check_password, password_set

CSS = (Path(__file__).parent / "admin.css").read_text()


def _share(part: tuple[int, int]) -> str:
    return f"{100 * part[0] / part[1]:.0f} % of {part[1]}" if part[1] else "-"


def _number(value: float, form: str = ".2f") -> str:
    return "-" if math.isnan(value) else format(value, form)


def _tiles(report: QualityReport) -> str:
    tiles = {
        "answers": str(report.answers),
        "annotators": str(len(report.annotators)),
        "Krippendorff's alpha": _number(report.alpha),
        "alpha, random questions": _number(report.alpha_random),
        "with two thirds agreed": _number(report.two_thirds, ".0%"),
        "gold right": _share(report.gold),
        "repeats alike": _share(report.repeats),
        "images asked about": f"{report.images_asked} of {report.images}",
        "questions open": str(report.questions_open),
    }
    return "".join(f'<div class="adm-tile"><b>{value}</b>{name}</div>' for name, value in tiles.items())


def _bars(report: QualityReport) -> str:
    hours = report.per_hour[-48:]
    most = max((count for _, count in hours), default=1)
    bars = "".join(
        f'<div style="height:{100 * count / most:.0f}%" title="{hour.replace("T", " ")} h: {count}"></div>'
        for hour, count in hours
    )
    label = f"Answers per hour, at most {most}" if hours else "No answers yet"
    return f'<div class="adm-bars" role="img" aria-label="{label}">{bars}</div><p>{label}, UTC</p>'


def _table(report: QualityReport, codes: dict[str, str]) -> str:
    rows = []
    for person in sorted(report.annotators, key=lambda p: -p.clicker):
        mark = "excluded" if person.is_excluded else "looks like chance" if person.clicker > 0.5 else ""
        cells = (
            html.escape(person.id), person.answers, _number(person.skill), _number(person.median_seconds, ".1f"),
            _share(person.gold), _share(person.repeats), f"{person.cant_tell:.0%}",
            codes.get(person.id, ""), f'<span class="adm-flag">{mark}</span>',
        )  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    names = ("annotator", "answers", "skill", "median s", "gold", "repeats", "can't tell", "code", "")
    head = "".join(f"<th>{name or '<span>note</span>'}</th>" for name in names)
    return (
        f'<div class="adm-scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _dispute(dispute: Dispute) -> str:
    cells = "".join(
        f'<div><img alt="Face {k + 1}" src="{data_url("image/jpeg", crop)}">{count} votes</div>'
        for k, (crop, count) in enumerate(zip(dispute.crops, dispute.votes, strict=True))
    )
    return f'<div class="adm-dispute">{cells}</div>'


def report_page(store: Store) -> str:
    """The whole view as HTML."""
    report = measure_quality(store)
    codes = {one.annotator: one.code for one in read_completions(store)}
    failure = builtin_failure(store)
    trouble = f'<p class="adm-flag">No built-in pictures: {html.escape(failure)}</p>' if failure else ""
    duels = "".join(
        f"<tr><td>{html.escape(' against '.join(d.methods))}</td><td>{d.wins[0]} : {d.wins[1]}</td>"
        f"<td>{d.cant_tell}</td></tr>"
        for d in compare_methods(store)
    )
    methods = (
        f'<h2>Methods</h2><div class="adm-scroll" tabindex="0"><table><thead><tr><th>methods</th><th>preferred</th>'
        f"<th>can't tell</th></tr></thead><tbody>{duels}</tbody></table></div>"
        if duels
        else ""
    )
    disputes = "".join(map(_dispute, disputed(store, 12))) or "<p>None yet.</p>"
    return (
        f'<div class="adm">{trouble}<div class="adm-tiles">{_tiles(report)}</div>'
        f"<h2>Answers per hour</h2>{_bars(report)}<h2>Annotators</h2>{_table(report, codes)}{methods}"
        f'<h2>Most disputed</h2><div class="adm-disputes">{disputes}</div></div>'
    )


def _names(store: Store) -> list[str]:
    return [row["id"] for row in store.rows("select id from annotators where source != 'import' order by id")]


def build(path: Path | None = None, *, opened: Any) -> None:
    """Lay the tab out inside the current ``gr.Blocks``.

    Args:
        path: the database; default the app's own.
        opened: event at which the figures are shown, unless they wait for a password.
    """
    store = Store(path or default_path())
    password = password_set()
    is_in = gr.State(not password)

    def view(allowed: bool) -> tuple[Any, ...]:
        if not allowed:
            raise gr.Error("Give the password first.", title="Not signed in")
        return report_page(store), gr.Dropdown(choices=_names(store))

    def sign_in(typed: str) -> tuple[Any, ...]:
        check_password(typed)
        return True, gr.Column(visible=False), gr.Column(visible=True), *view(True)

    def change(allowed: bool, annotator: str | None, reason: str, is_excluded: bool) -> tuple[Any, ...]:
        if allowed and annotator:
            try:
                exclude_annotator(store, annotator, is_excluded=is_excluded, reason=reason or "no reason given")
            except FreeAvatarError as error:
                raise gr.Error(str(error)) from error
        return view(allowed)

    def exclude(allowed: bool, annotator: str | None, reason: str) -> tuple[Any, ...]:
        return change(allowed, annotator, reason, True)

    def include(allowed: bool, annotator: str | None, reason: str) -> tuple[Any, ...]:
        return change(allowed, annotator, reason, False)

    with gr.Column(visible=bool(password)) as door:
        typed = gr.Textbox(label="Password", type="password", elem_id="admin-password")
        enter = gr.Button("Sign in", variant="primary", elem_id="admin-enter")
    with gr.Column(visible=not password) as room:
        refresh = gr.Button("Refresh", elem_id="admin-refresh")
        page = gr.HTML("", elem_id="admin-view")
        with gr.Row():
            who = gr.Dropdown([], label="Annotator", elem_id="admin-who")
            why = gr.Textbox(label="Reason", elem_id="admin-why")
            out = gr.Button("Exclude", variant="stop", elem_id="admin-exclude")
            back = gr.Button("Take back in", elem_id="admin-include")
    hidden: Any = {"api_visibility": "private", "show_progress": "hidden"}
    gr.on([enter.click, typed.submit], sign_in, typed, [is_in, door, room, page, who], **hidden)
    gr.on([refresh.click] if password else [opened, refresh.click], view, is_in, [page, who], **hidden)
    out.click(exclude, [is_in, who, why], [page, who], **hidden)
    back.click(include, [is_in, who, why], [page, who], **hidden)
