"""The Label admin tab: how the study goes, who does not look, what is disputed; behind a password."""

import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from annotation.people.completions import read_completions
from annotation.pool.builtin import builtin_failure
from annotation.results.disputes import Dispute, disputed
from annotation.results.quality import QualityReport, compare_methods, measure_quality
from annotation.store.maintenance import exclude_annotator
from annotation.store.store import Store, default_path
from freeavatar.errors import FreeAvatarError
from freeavatar.files import data_url
from webapp.common.doors import check_password, check_signed_in, password_set
from webapp.common.words import language_of, say, translated, word

CSS = (Path(__file__).parent / "admin.css").read_text()


_COLUMNS = ("id", "answers", "skill", "seconds", "gold", "repeats", "cant_tell", "code", "note")


def _share(part: tuple[int, int], language: str) -> str:
    if not part[1]:
        return "-"
    return say(language, "admin.share", percent=round(100 * part[0] / part[1]), total=part[1])


def _number(value: float, form: str = ".2f") -> str:
    return "-" if math.isnan(value) else format(value, form)


def _tiles(report: QualityReport, language: str) -> str:
    tiles = {
        "answers": report.answers,
        "annotators": len(report.annotators),
        "alpha": _number(report.alpha),
        "alpha_random": _number(report.alpha_random),
        "two_thirds": _number(report.two_thirds, ".0%"),
        "gold": _share(report.gold, language),
        "repeats": _share(report.repeats, language),
        "images": say(language, "admin.of", part=report.images_asked, total=report.images),
        "open": report.questions_open,
    }
    return "".join(
        f'<div class="adm-tile"><b>{value}</b>{say(language, f"admin.tile.{name}")}</div>'
        for name, value in tiles.items()
    )


def _bars(report: QualityReport, language: str) -> str:
    hours = report.per_hour[-48:]
    most = max((count for _, count in hours), default=1)
    bars = "".join(
        f'<div style="height:{100 * count / most:.0f}%" '
        f'title="{say(language, "admin.hours.bar", hour=hour.replace("T", " "), count=count)}"></div>'
        for hour, count in hours
    )
    label = say(language, "admin.hours", most=most) if hours else say(language, "admin.hours.none")
    return f'<div class="adm-bars" role="img" aria-label="{label}">{bars}</div><p>{label}, UTC</p>'


def _table(report: QualityReport, codes: dict[str, str], language: str) -> str:
    rows = []
    for person in sorted(report.annotators, key=lambda p: -p.clicker):
        mark = say(language, "admin.chance") if person.clicker > 0.5 else ""
        if person.is_excluded:
            mark = say(language, "admin.excluded")
        cells = (
            html.escape(person.id), person.answers, _number(person.skill), _number(person.median_seconds, ".1f"),
            _share(person.gold, language), _share(person.repeats, language), f"{person.cant_tell:.0%}",
            codes.get(person.id, ""), f'<span class="adm-flag">{mark}</span>',
        )  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    titles = [say(language, f"admin.column.{name}") for name in _COLUMNS]
    titles[-1] = f"<span>{titles[-1]}</span>"
    return _scroll(titles, "".join(rows))


def _scroll(titles: Sequence[str], rows: str) -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="adm-scroll" tabindex="0">{table}</div>'


def _dispute(dispute: Dispute, language: str) -> str:
    cells = "".join(
        f'<div><img alt="{say(language, "admin.face", number=k + 1)}" src="{data_url("image/jpeg", crop)}">'
        f"{say(language, 'admin.votes', count=count)}</div>"
        for k, (crop, count) in enumerate(zip(dispute.crops, dispute.votes, strict=True))
    )
    return f'<div class="adm-dispute">{cells}</div>'


def _methods(store: Store, language: str) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(say(language, 'admin.methods.against', one=duel.methods[0], other=duel.methods[1]))}"
        f"</td><td>{duel.wins[0]} : {duel.wins[1]}</td><td>{duel.cant_tell}</td></tr>"
        for duel in compare_methods(store)
    )
    keys = ("admin.methods.pair", "admin.methods.preferred", "admin.column.cant_tell")
    titles = [say(language, key) for key in keys]
    return f"<h2>{say(language, 'admin.methods')}</h2>{_scroll(titles, rows)}" if rows else ""


def report_page(store: Store, language: str) -> str:
    """The whole view as HTML."""
    report = measure_quality(store)
    codes = {one.annotator: one.code for one in read_completions(store)}
    failure = builtin_failure(store)
    missing = html.escape(say(language, "admin.no_builtin", reason=failure)) if failure else ""
    disputes = "".join(_dispute(dispute, language) for dispute in disputed(store, 12))
    parts = [
        f'<p class="adm-flag">{missing}</p>' if missing else "",
        f'<div class="adm-tiles">{_tiles(report, language)}</div>',
        f"<h2>{say(language, 'admin.hours.title')}</h2>{_bars(report, language)}",
        f"<h2>{say(language, 'admin.annotators')}</h2>{_table(report, codes, language)}",
        _methods(store, language),
        f"<h2>{say(language, 'admin.disputed')}</h2>",
        f'<div class="adm-disputes">{disputes or say(language, "admin.disputed.none")}</div>',
    ]
    return f'<div class="adm">{"".join(parts)}</div>'


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

    def view(request: gr.Request, is_in: bool) -> tuple[Any, ...]:
        language = language_of(request)
        check_signed_in(is_in, language)
        return report_page(store, language), gr.Dropdown(choices=_names(store))

    def sign_in(request: gr.Request, typed: str) -> tuple[Any, ...]:
        check_password(typed, language_of(request))
        return True, gr.Column(visible=False), gr.Column(visible=True), *view(request, True)

    def change(
        request: gr.Request, is_in: bool, annotator: str | None, reason: str, *, is_excluded: bool
    ) -> tuple[Any, ...]:
        language = language_of(request)
        if is_in and annotator:
            reason = reason or say(language, "admin.reason.none")
            try:
                exclude_annotator(store, annotator, is_excluded=is_excluded, reason=reason)
            except FreeAvatarError as error:
                raise gr.Error(translated(error, language)) from error
        return view(request, is_in)

    def exclude(request: gr.Request, is_in: bool, annotator: str | None, reason: str) -> tuple[Any, ...]:
        return change(request, is_in, annotator, reason, is_excluded=True)

    def include(request: gr.Request, is_in: bool, annotator: str | None, reason: str) -> tuple[Any, ...]:
        return change(request, is_in, annotator, reason, is_excluded=False)

    with gr.Column(visible=bool(password)) as door:
        typed = gr.Textbox(label=word("door.password"), type="password", elem_id="admin-password")
        enter = gr.Button(word("door.enter"), variant="primary", elem_id="admin-enter")
    with gr.Column(visible=not password) as room:
        refresh = gr.Button(word("admin.refresh"), elem_id="admin-refresh")
        page = gr.HTML("", elem_id="admin-view")
        with gr.Row():
            who = gr.Dropdown([], label=word("admin.annotator"), elem_id="admin-who")
            why = gr.Textbox(label=word("admin.reason"), elem_id="admin-why")
            out = gr.Button(word("admin.exclude"), variant="stop", elem_id="admin-exclude")
            back = gr.Button(word("admin.include"), elem_id="admin-include")
    hidden: Any = {"api_visibility": "private", "show_progress": "hidden"}
    gr.on([enter.click, typed.submit], sign_in, typed, [is_in, door, room, page, who], **hidden)
    gr.on([refresh.click] if password else [opened, refresh.click], view, is_in, [page, who], **hidden)
    out.click(exclude, [is_in, who, why], [page, who], **hidden)
    back.click(include, [is_in, who, why], [page, who], **hidden)
