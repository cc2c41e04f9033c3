"""The command line: animate, live, send, avatars, people, embed, models, warm-up."""

import argparse
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from freeavatar import __version__
from freeavatar.errors import FreeAvatarError
from freeavatar.framing import FRAMINGS

if TYPE_CHECKING:
    from freeavatar.pipeline import AnimateOptions, Progress, Report


def _calibration(text: str) -> str | float:
    if text in ("auto", "none"):
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto, none nor a time in seconds") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="freeavatar", description="One face video in, every 3D avatar plays it.")
    parser.add_argument("--version", action="version", version=f"freeavatar {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_animate(commands.add_parser("animate", help="drive avatars from a video, an image or a folder of images"))
    _add_live(
        commands.add_parser(
            "live", help="send the face before a camera to other programs, as it moves", epilog=_SCHEMES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )  # fmt: skip
    _add_send(
        commands.add_parser(
            "send", help="play a take into other programs over the network, in real time", epilog=_SCHEMES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )  # fmt: skip
    _add_avatars(commands.add_parser("avatars", help="list avatars; add and remove your own"))
    people = commands.add_parser("people", help="who is in a clip: what --face counts, with a picture of each")
    people.add_argument("input", type=Path, metavar="INPUT", help="video, image, or folder of images")
    people.add_argument("--out", type=Path, metavar="DIR", help="write the pictures there")
    _add_range(people)
    people.set_defaults(run=_people)
    embed = commands.add_parser("embed", help="write expression embeddings of images to an .npz")
    embed.add_argument("input", nargs="+", type=Path, metavar="INPUT", help="image, folder, zip or video")
    embed.add_argument("--out", type=Path, required=True, metavar="EMB.npz")
    embed.add_argument("--aligned", action="store_true", help="inputs are upright face crops with the loose margin")
    embed.add_argument("--rigs", action="store_true", help="write ARKit's blendshapes of each image as well")
    _add_device(embed)
    _add_weights(embed)
    embed.set_defaults(run=_embed)
    _add_models(commands.add_parser("models", help="bundles of weights: list, use, export, import, convert"))
    warm_up = commands.add_parser("warm-up", help="compile what draws avatars, so that nobody waits at first use")
    warm_up.set_defaults(run=_warm_up)
    return parser


_SCHEMES = """\
URLs, with the port that is used if it is left out:
  vmc://HOST:39539           VSeeFace, VNyan, Warudo, Unity (EVMC4U), Blender (VMC4B), by VMC protocol;
                             ?names=arkit (jawOpen), Arkit (JawOpen), vrm0 (A, Joy) or vrm1 (aa, happy)
  livelink://HOST:11111      Unreal Engine, as Live Link Face; ?subject=NAME
  ifacialmocap://HOST:49983  what takes the app iFacialMocap; ?version=2 or 1
  vts://HOST:8001            VTube Studio, which asks once whether to let FreeAvatar in
  vrchat://HOST:9000         VRChat avatars with VRCFaceTracking's parameters; ?prefix=FT/ if theirs have that
Ctrl-C ends it. Nobody needs to listen: a program that starts later joins in."""


def _add_live(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--camera", default="0", metavar="NUMBER|VIDEO", help="which camera, or a video to play instead; default: 0"
    )
    _add_urls(parser)
    parser.add_argument("--avatar", metavar="NAME_OR_GLB", help="whose expression is sent; default: ines")
    parser.add_argument("--smoothing", type=float, default=0.3, metavar="0..1", help="default: 0.3")
    parser.add_argument("--gain", type=float, default=1.0, help="strength of the expression; default: 1.0")
    parser.add_argument("--mirrored", action="store_true", help="swap left and right, as in a mirror")
    parser.add_argument("--no-idle", action="store_true", help="do not blink and sway while nobody is in sight")
    parser.add_argument(
        "--calibrate-after", type=float, metavar="SECONDS",
        help="take the face seen then for neutral; Enter does so at any time",
    )  # fmt: skip
    parser.add_argument("--loop", action="store_true", help="begin a video again at its end, until Ctrl-C")
    parser.set_defaults(run=_live)


def _add_urls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--send", action="append", required=True, metavar="URL", dest="urls", help="where to; repeat for several"
    )


def _add_send(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", type=Path, metavar="TAKE.npz", help="the .take.npz of an `animate` run; or its .csv, or .json"
    )
    _add_urls(parser)
    parser.add_argument("--avatar", metavar="NAME_OR_GLB", help="whose curves of a take; default: its first avatar's")
    parser.add_argument("--speed", type=float, default=1.0, metavar="FACTOR", help="2 is twice as fast; default: 1.0")
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until Ctrl-C")
    parser.set_defaults(run=_send)


def _add_avatars(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preview", type=Path, metavar="DIR", help="write a portrait of each, every target, and combinations"
    )
    parser.set_defaults(run=_avatars)
    actions = parser.add_subparsers(metavar="ACTION", title="without an action, avatars are listed; actions")
    add = actions.add_parser("add", help="look a GLB over and keep it under a name")
    add.add_argument("file", type=Path, metavar="FILE.glb")
    add.add_argument("--name", metavar="NAME", help="default: made from the file's name")
    add.add_argument("--replace", action="store_true", help="take the place of an avatar added before")
    add.set_defaults(run=_add_avatar)
    remove = actions.add_parser("remove", help="forget an avatar that was added")
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(run=_remove_avatar)


def _add_models(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="bundles of weights; * is in use").set_defaults(run=_list_models)
    use = actions.add_parser("use", help="animate, embed and ask with a bundle from now on")
    use.add_argument("name", metavar="NAME", help="default, an id, or `previous` to go back")
    use.set_defaults(run=_use_model)
    export = actions.add_parser("export", help="write a bundle as a zip")
    export.add_argument("name", metavar="NAME", help="default or an id")
    export.add_argument("file", type=Path, metavar="FILE.zip")
    export.set_defaults(run=_export_model)
    taken = actions.add_parser("import", help="take a bundle into the library")
    taken.add_argument("file", type=Path, metavar="FILE.zip", help="or a folder")
    taken.set_defaults(run=_import_model)
    convert = actions.add_parser("convert", help="write the graphs that a bundle lacks, by torch")
    convert.add_argument("name", nargs="?", metavar="NAME", help="default, an id or a folder; default: the one in use")
    convert.set_defaults(run=_convert_model)


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="BUNDLE", help="name or folder; default: the one in use (`models list`)")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps; default: auto")


def _region(text: str) -> tuple[str, float]:
    from freeavatar.performance.regions import REGIONS

    name, _, scale = text.partition("=")
    if name not in REGIONS:
        raise argparse.ArgumentTypeError(f"there is no region {name!r}: use {', '.join(REGIONS)}")
    try:
        return name, float(scale)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no region with a scale, such as mouth=1.3 or brows=0") from None


def _box(text: str) -> tuple[float, ...]:
    try:
        left, top, width, height = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not left,top,width,height in pixels") from None
    return left, top, width, height


def _add_range(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="where in the input to begin")
    parser.add_argument("--end", type=float, metavar="SECONDS", help="where in the input to stop; default: its end")


def _add_animate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", type=Path, metavar="INPUT", help="video, image, folder of images, or the .take.npz of an earlier run"
    )
    parser.add_argument(
        "--avatar", action="append", default=[], metavar="NAME_OR_GLB", help="repeat for several; default: ines"
    )
    parser.add_argument("--out", type=Path, default=Path("."), metavar="DIR", help="default: the current folder")
    parser.add_argument("--smoothing", type=float, default=0.5, metavar="0..1", help="default: 0.5")
    neutral = parser.add_mutually_exclusive_group()
    neutral.add_argument(
        "--calibration", type=_calibration, default="auto", metavar="auto|none|SECONDS",
        help="the actor's neutral: found, left alone, or marked by a moment; default: auto",
    )  # fmt: skip
    parser.add_argument("--gain", type=float, default=1.0, help="strength of the expression; default: 1.0")
    neutral.add_argument("--profile", type=Path, metavar="FILE", help="the neutral of this actor, saved before")
    parser.add_argument("--save-profile", type=Path, metavar="FILE", help="keep the neutral found here as a .json")
    parser.add_argument(
        "--region", action="append", default=[], type=_region, metavar="NAME=SCALE",
        help="0 (off) to 3 for brows, eyes, gaze, mouth, jaw, cheeks, tongue or head; repeat for several",
    )  # fmt: skip
    parser.add_argument("--framing", choices=FRAMINGS, default="face", help="how much of the avatar; default: face")
    _add_range(parser)
    parser.add_argument("--no-head-pose", action="store_true", help="keep the avatar's head still")
    parser.add_argument("--face", type=int, default=0, metavar="N", help="0 follows the largest face, 1 the next, ...")
    parser.add_argument(
        "--crop", dest="box", type=_box, metavar="X,Y,W,H",
        help="where the face is at the start, in pixels, if it is not found",
    )  # fmt: skip
    parser.add_argument("--each", action="store_true", help="of several avatars, a video of each alone as well")
    parser.add_argument(
        "--background", metavar="none|#RRGGBB|PICTURE", help="write a video of the avatar alone before this as well"
    )
    parser.add_argument(
        "--video",
        metavar="mp4|webm|prores|png",
        help="kind of the video of the avatar alone; default: webm if it is transparent, else mp4",
    )
    parser.add_argument(
        "--reduce", type=float, default=0.0, metavar="ERROR",
        help="leave out keys of GLB, VRM animation and USD that the others give within this, such as 0.005",
    )  # fmt: skip
    parser.add_argument("--usd", action="store_true", help="write the avatar that plays as USD as well (extra `usd`)")
    parser.add_argument("--no-audio", action="store_true", help="leave the sound out")
    _add_device(parser)
    _add_weights(parser)
    parser.set_defaults(run=_animate)


def _animate(args: argparse.Namespace) -> None:
    from freeavatar.models import choose_device, open_bundle
    from freeavatar.pipeline import AnimateOptions, Regions, animate, load_profile
    from freeavatar.pipeline.player import check_has_neutral

    options = AnimateOptions(
        smoothing=args.smoothing, calibration=load_profile(args.profile) if args.profile else args.calibration,
        gain=args.gain, regions=Regions(**dict(args.region)), has_head_pose=not args.no_head_pose,
        framing=args.framing, face=args.face, box=args.box, start=args.start, end=args.end, has_audio=not args.no_audio,
        device=args.device, has_each=args.each, background=args.background, video=args.video, has_usd=args.usd,
        reduce=args.reduce,
    )  # fmt: skip
    bundle = open_bundle(args.weights, device=choose_device(args.device)) if args.weights else None
    if args.save_profile is not None:
        check_has_neutral(options)
    with _Bar() as bar:
        report = animate(args.input, args.avatar, out=args.out, options=options, bundle=bundle, on_progress=bar.update)
    for path in report.paths:
        print(path)
    if args.save_profile is not None:
        _save_profile(report, args.save_profile, options)
    print(report.summary())
    print(", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items()))


def _save_profile(report: "Report", path: Path, options: "AnimateOptions") -> None:
    from freeavatar.pipeline import Player, load_take, save_profile

    assert report.take is not None
    print(save_profile(Player(load_take(report.take)).profile(path.stem, options), path))


def _send(args: argparse.Namespace) -> None:
    from freeavatar.pipeline import read_curves
    from freeavatar.streams import Clock, open_stream, play

    curves, clock = read_curves(args.input, avatar=args.avatar), Clock()
    with ExitStack() as stack:
        stack.enter_context(_stopping(clock.stop))
        streams = [stack.enter_context(open_stream(url)) for url in args.urls]
        print(f"sending {args.input.name} to {', '.join(args.urls)}", flush=True)
        played = play(curves, streams, speed=args.speed, is_looping=args.loop, clock=clock)
    print(f"{played.sent} frames sent, {played.dropped} dropped because they were late")


def _live(args: argparse.Namespace) -> None:
    from freeavatar.avatars import DEFAULT_AVATAR, load_avatar
    from freeavatar.pipeline import shared_bundle
    from freeavatar.pipeline.live import Live, LiveSettings
    from freeavatar.sending import LiveSender, play_video
    from freeavatar.streams import Clock, open_stream
    from freeavatar.video import Camera

    settings = LiveSettings(smoothing=args.smoothing, gain=args.gain, is_idling=not args.no_idle)
    clock = Clock()
    with ExitStack() as stack:
        stack.enter_context(_stopping(clock.stop))
        streams = [stack.enter_context(open_stream(url)) for url in args.urls]
        live = Live(shared_bundle(), [load_avatar(args.avatar or DEFAULT_AVATAR)])
        sender = LiveSender(
            live, streams, settings, clock=clock, say=_say, calibrate_after=args.calibrate_after
        )  # fmt: skip
        if args.camera.isdecimal():
            shots = iter(stack.enter_context(Camera(int(args.camera))))
        else:
            shots = play_video(Path(args.camera), clock, is_looping=args.loop)
        _say(f"sending {args.camera} to {', '.join(args.urls)}; Enter: this face is neutral, Ctrl-C: the end")
        while not clock.wait(0) and (shot := next(shots, None)):
            image, taken = shot
            sender.step(image[:, ::-1] if args.mirrored else image, taken)
            if _is_enter_pressed():
                sender.calibrate()
    print(f"{sender.sent} frames sent")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _is_enter_pressed() -> bool:
    """Whether something was typed; it is taken without waiting."""
    try:
        return bool(select.select([sys.stdin], [], [], 0)[0] and os.read(sys.stdin.fileno(), 1024))
    except (OSError, TypeError, ValueError):  # no terminal
        return False


@contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on Ctrl-C and on being terminated, in place of raising an error."""
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _people(args: argparse.Namespace) -> None:
    from freeavatar.files import make_folder, write_png
    from freeavatar.pipeline import find_people

    people = find_people(args.input, start=args.start, end=args.end)
    for person in people:
        left, top, right, bottom = person.box
        print(f"--face {person.index}: {right - left:.0f} x {bottom - top:.0f} pixels at {left:.0f},{top:.0f}")
        if args.out is not None:
            path = make_folder(args.out) / f"face{person.index}.png"
            write_png(person.thumbnail, path)
            print(f"{'':8s} {path}")
    if not people:
        print("no face was found: draw one with --crop")


class _Bar:
    """A tqdm bar per stage, on stderr where that is a terminal."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._stage = ""

    def __enter__(self) -> "_Bar":
        return self

    def update(self, progress: "Progress") -> None:
        if self._bar is None or self._stage != progress.stage:
            self.__exit__()
            self._stage = progress.stage
            self._bar = tqdm(total=progress.total, desc=progress.stage, unit="frame", disable=None)
        self._bar.update(progress.done - self._bar.n)

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _avatars(args: argparse.Namespace) -> None:
    from freeavatar.avatars import available_avatars, avatar_path, load_avatar, read_summary

    for name in available_avatars():
        try:
            avatar = read_summary(avatar_path(name))
        except FreeAvatarError as error:
            print(f"{name:12s} cannot be used: {error}")
            continue
        rig = "ARKit" if avatar.is_arkit else "own"
        print(f"{name:12s} {len(avatar.target_names):3d} controls ({rig})  {avatar.license}  {avatar.author}")
        if args.preview is not None:
            from freeavatar.render.preview import write_previews

            write_previews(load_avatar(name), args.preview)
            print(f"{'':12s} {args.preview / name}*.png")


def _add_avatar(args: argparse.Namespace) -> None:
    from freeavatar.avatars import add_avatar
    from freeavatar.render.preview import write_previews

    added = add_avatar(args.file, draw=write_previews, name=args.name, is_replacing=args.replace)
    for text in added.findings:
        print(text)
    for path in added.files:
        print(path)
    print(f"Use it by its name: animate clip.mp4 --avatar {added.name}")


def _remove_avatar(args: argparse.Namespace) -> None:
    from freeavatar.avatars import remove_avatar

    remove_avatar(args.name)
    print(f"{args.name} is gone.")


def _embed(args: argparse.Namespace) -> None:
    from freeavatar.models import choose_device, open_bundle
    from freeavatar.pipeline import embed

    bundle = open_bundle(args.weights, device=choose_device(args.device)) if args.weights else None
    with tqdm(unit="image", disable=None) as bar:
        arrays = embed(
            args.input, out=args.out, is_aligned=args.aligned, has_rigs=args.rigs, device=args.device, bundle=bundle,
            on_progress=lambda done: bar.update(done - bar.n) and None,
        )  # fmt: skip
    missing = int((arrays["confidence"] == 0).sum())
    print(f"{args.out}: {len(arrays['paths'])} images, {missing} without a face")


def _list_models(args: argparse.Namespace) -> None:
    from freeavatar.models.library import list_bundles

    for entry in list_bundles():
        base = f", from {entry.lineage['base']}" if entry.lineage.get("base") else ""
        print(f"{'*' if entry.is_adopted else ' '} {entry.name:12s}  {entry.id}  {entry.title}{base}")


def _use_model(args: argparse.Namespace) -> None:
    from freeavatar.models.library import adopt_bundle, previous_bundle, roll_back

    entry = roll_back() if args.name == "previous" else adopt_bundle(args.name)
    back = " Take it back by `models use previous`." if previous_bundle() else ""
    print(f"{entry.name} ({entry.title}) is in use.{back}")


def _export_model(args: argparse.Namespace) -> None:
    from freeavatar.models.library import export_bundle

    print(export_bundle(args.name, args.file))


def _import_model(args: argparse.Namespace) -> None:
    from freeavatar.models.library import import_bundle

    entry = import_bundle(args.file)
    print(f"{entry.name} ({entry.title}) is in the library: `models use {entry.name}` adopts it.")


def _convert_model(args: argparse.Namespace) -> None:
    from freeavatar.models.library import convert_bundle, whole_bundle

    for path in convert_bundle(args.name):
        print(path)
    print(f"{whole_bundle(args.name)} is ready to run.")


def _warm_up(args: argparse.Namespace) -> None:
    import numpy as np

    from freeavatar.avatars import DEFAULT_AVATAR, load_avatar
    from freeavatar.render import Look, Renderer

    renderer = Renderer(load_avatar(DEFAULT_AVATAR))
    rest = np.zeros(len(renderer.avatar.target_names), np.float32)
    for look in (Look((64, 64)), Look((64, 64), background=None)):
        renderer.picture(rest, look=look)
    print("Ready.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, or 1 after one sentence on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], None] = args.run
    try:
        run(args)
    except FreeAvatarError as error:
        print(f"freeavatar: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"freeavatar: {error.strerror or error}: {error.filename or 'a file'} cannot be used.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("freeavatar: stopped; nothing half-written was kept.", file=sys.stderr)
        return 130
    return 0
