"""The command line of the label store."""

import argparse
import logging
import math
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from annotation.store.store import Store, default_path
from annotation.store.votes import PURPOSES
from freeavatar.errors import FreeAvatarError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="annotation", description="Expression triplets: images in, labels out.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--db", type=Path, default=None, metavar="FILE", help="default: the app's own")
        command.set_defaults(run=run)
        return command

    _add_import(add("import", _import, "add faces: folders, zips, videos, images, FEC CSVs"))
    compare = add("compare", _compare, "add A/B questions: actor,method_0,clip_0,method_1,clip_1")
    compare.add_argument("csv", type=Path)
    export = add("export", _export, "write settled triplets")
    export.add_argument("--out", type=Path, required=True, metavar="FILE")
    export.add_argument("--format", choices=("fec", "csv", "jsonl"), default="jsonl", help="default: jsonl")
    export.add_argument("--images", type=Path, metavar="DIR", help="write the crops too, as <id>.jpg")
    export.add_argument("--min-agreement", type=float, default=0.66, metavar="SHARE", help="default: 0.66")
    export.add_argument(
        "--min-raters", type=int, metavar="N", help="default: 2, or the study's redundancy if that is 1"
    )
    export.add_argument(
        "--purpose", nargs="+", choices=PURPOSES, default=(), help="only questions asked for this; random: a test set"
    )
    add("import-answers", _import_answers, "add labels: FEC or anchor,positive,negative,type").add_argument(
        "csv", type=Path
    )
    add("stats", _stats, "agreement, quality and coverage")
    codes = add("codes", _codes, "list completion codes, or check some")
    codes.add_argument("codes", nargs="*", metavar="CODE")
    codes.add_argument("--out", type=Path, metavar="FILE", help="write them as CSV")
    add("merge", _merge, "add everything another store has").add_argument("other", type=Path)
    add("backup", _backup, "copy the database while it is in use").add_argument("file", type=Path)
    add("check", _check, "look for damage and orphans")
    _add_simulate(add("simulate", _simulate, "answer as a crowd would"))
    forget = add("forget", _forget, "delete an image and all that came of it")
    forget.add_argument("image", help="its id or source")
    forget.add_argument("--models", type=Path, nargs="*", default=[], help="folders searched for models trained on it")
    settings = add("settings", _settings, "show or change quota, redundancy, shares")
    settings.add_argument("change", nargs="*", metavar="NAME=VALUE")
    settings.add_argument("--consent", type=Path, metavar="FILE", help="text annotators agree to, a paragraph a line")
    return parser


def _add_import(command: argparse.ArgumentParser) -> None:
    command.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    command.add_argument("--licence", default="unknown", help="licence, or a note on consent")
    command.add_argument("--person", help="who it is; `folder` takes the folder's name")
    command.add_argument("--aligned", action="store_true", help="upright crops with the loose margin")
    command.add_argument("--images", type=Path, metavar="DIR", help="where the pictures of a FEC CSV lie")


def _add_simulate(command: argparse.ArgumentParser) -> None:
    command.add_argument("--annotators", type=int, default=20, metavar="N")
    command.add_argument("--answers", type=int, default=600, metavar="N", help="of all together")
    command.add_argument("--noise", type=float, default=0.1, metavar="P", help="share of answers that are chance")
    command.add_argument("--clickers", type=float, default=0.0, metavar="P", help="share of people who click by chance")
    command.add_argument("--form", choices=("odd", "grid"), help="default: mixed")
    command.add_argument("--seed", type=int, default=0)


def _open(args: argparse.Namespace, *, is_new_ok: bool = False) -> Store:
    return Store(args.db or default_path(), is_new_ok=is_new_ok)


def _import(args: argparse.Namespace) -> int:
    from annotation.pool.importing import ImportOptions, import_pictures

    options = ImportOptions(licence=args.licence, person=args.person, is_aligned=args.aligned, images=args.images)
    with tqdm(unit="face", disable=None) as bar:
        report = import_pictures(
            _open(args, is_new_ok=True), args.paths, options,
            on_progress=lambda report: bar.update(report.added + report.duplicates - bar.n) and None,
        )  # fmt: skip
    for failure in report.failures:
        print(f"- {failure}")
    print(report.summary())
    return int(report.added + report.duplicates == 0)


def _compare(args: argparse.Namespace) -> None:
    from annotation.asking.comparing import import_comparisons

    print(f"{import_comparisons(_open(args, is_new_ok=True), args.csv)} A/B questions added.")


def _export(args: argparse.Namespace) -> None:
    from annotation.results.exporting import Selection, export_labels

    done = export_labels(
        _open(args), args.out, kind=args.format, min_agreement=args.min_agreement, images=args.images,
        purposes=args.purpose, selection=Selection(min_raters=args.min_raters),
    )  # fmt: skip
    print(f"{args.out}: {done.triplets} triplets, {done.images} crops written. {done.note}".rstrip())


def _import_answers(args: argparse.Namespace) -> None:
    from annotation.results.importing_labels import import_answers

    print(f"{import_answers(_open(args, is_new_ok=True), args.csv)} votes added.")


def _stats(args: argparse.Namespace) -> None:
    from annotation.results.quality import compare_methods, measure_quality

    store = _open(args)
    report = measure_quality(store)
    print(f"{report.answers} answers to {report.questions} questions by {len(report.annotators)} annotators")
    print(f"pool: {report.images} images, {report.images_asked} asked about; {report.questions_open} questions open")
    print(f"Krippendorff's alpha: {report.alpha:.3f}, on random questions {report.alpha_random:.3f}")
    print(f"two thirds agree on a share of {report.two_thirds:.3f} of questions")
    (right, gold), (alike, repeats) = report.gold, report.repeats
    print(f"gold right: {right} of {gold}; repeats alike: {alike} of {repeats}")
    for duel in compare_methods(store):
        print(f"{duel.methods[0]} {duel.wins[0]} : {duel.wins[1]} {duel.methods[1]}, can't tell {duel.cant_tell}")
    for person in report.annotators:
        marks = " EXCLUDED" if person.is_excluded else " looks like chance" if person.clicker > 0.5 else ""
        seconds = "" if math.isnan(person.median_seconds) else f", median {person.median_seconds:.1f} s"
        print(f"  {person.id}: {person.answers} answers{seconds}, skill {person.skill:.2f}{marks}")


def _codes(args: argparse.Namespace) -> int:
    from annotation.people.completions import read_completions, write_completions

    wanted = {code.strip().upper() for code in args.codes}
    given = [one for one in read_completions(_open(args)) if not wanted or one.code in wanted]
    if args.out:
        write_completions(given, args.out)
    for one in given:
        print(
            f"{one.code}  {one.annotator}: {one.reason}, {one.answers} answers ({one.answers_now} now), {one.created}"
        )
    unknown = sorted(wanted - {one.code for one in given})
    for code in unknown:
        print(f"{code}  was never given to anybody.")
    return int(bool(unknown))


def _merge(args: argparse.Namespace) -> None:
    from annotation.store.merging import merge_store

    merged = merge_store(_open(args, is_new_ok=True), args.other)
    print(", ".join(f"{count} {table}" for table, count in merged.added.items() if count) or "nothing new", "added.")
    if merged.barred:
        print(f"{merged.barred} images were forgotten here and stay away, with their answers.")
    for image in merged.forgotten_there:
        print(f"forgotten there, still here: {image}; `forget {image}` if it should go here too")


def _backup(args: argparse.Namespace) -> None:
    from annotation.store.maintenance import backup_store

    print(f"{args.file}: {backup_store(_open(args), args.file) / 2**20:.1f} MB")


def _check(args: argparse.Namespace) -> int:
    from annotation.store.maintenance import check_store

    problems = check_store(_open(args))
    for problem in problems:
        print(f"- {problem}")
    print("damaged: restore a backup, or merge it into a new database." if problems else "sound.")
    return int(bool(problems))


def _simulate(args: argparse.Namespace) -> None:
    from annotation.asking.desk import Desk
    from annotation.people.simulate import Oracle, SimulateOptions, simulate
    from annotation.pool.builtin import fill_builtin
    from annotation.pool.index import LiveIndex
    from annotation.store.images import Embedder

    store, embedder = _open(args, is_new_ok=True), Embedder()
    fill_builtin(store, embedder)
    desk = Desk(store, LiveIndex(store, embedder.weights), seed=args.seed)
    options = SimulateOptions(args.annotators, args.answers, args.noise, args.clickers, args.form, args.seed)
    filed, clickers = simulate(store, desk, Oracle(store, embedder.weights), options)
    print(f"{filed} answers filed.", f"By chance: {', '.join(clickers)}" if clickers else "")


def _forget(args: argparse.Namespace) -> None:
    from annotation.store.forgetting import forget_image

    gone = forget_image(_open(args), args.image, models=args.models)
    print(f"forgotten: {gone.images} images, {gone.questions} questions, {gone.answers} answers.")
    for path in gone.files:
        print(f"deleted: {path}")
    for path in gone.left:
        print(f"left, as it is not what this database wrote there; look yourself: {path}")
    for path in gone.models:
        print(f"trained on it: {path}")


def _settings(args: argparse.Namespace) -> None:
    from annotation.people.consent import change_consent, consent_id, consent_text
    from annotation.store.settings import LabelSettings, change_settings, parse_change, read_settings

    store = _open(args, is_new_ok=True)
    changes = dict(map(parse_change, args.change))
    if args.consent:
        change_consent(store, args.consent)
    settings = change_settings(store, **changes) if changes else read_settings(store)
    for item in fields(LabelSettings):
        print(f"{item.name}={getattr(settings, item.name)}")
    text = consent_text(store)
    print(f"consent ({consent_id(text)}):")
    for paragraph in text.splitlines():
        print(f"  {paragraph}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 1 after one sentence on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    args = _parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except FreeAvatarError as error:
        print(f"annotation: {error}", file=sys.stderr)
    except (OSError, sqlite3.Error) as error:
        print(f"annotation: {error}: nothing was changed.", file=sys.stderr)
    except KeyboardInterrupt:
        print("annotation: stopped; what was done is kept.", file=sys.stderr)
        return 130
    return 1
