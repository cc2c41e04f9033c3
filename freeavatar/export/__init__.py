"""Exports: sinks for an avatar's performance, one a format."""

from collections.abc import Callable

from freeavatar.export.glb import GlbSink, write_animated_glb
from freeavatar.export.live_link import LiveLinkSink, read_live_link_csv, write_live_link_csv
from freeavatar.export.picture import FramesSink, ImageSink, VideoSink
from freeavatar.export.rig_json import JsonSink, read_rig_json, write_rig_json
from freeavatar.export.sink import Moment, Output, Sink, Sound
from freeavatar.export.usd import UsdSink, write_usd
from freeavatar.export.vrma import VrmaSink, write_vrma

SINKS: dict[str, Callable[[Output], Sink]] = {
    "mp4": VideoSink, "png": ImageSink, "csv": LiveLinkSink, "json": JsonSink, "glb": GlbSink,
    "vrma": VrmaSink, "usd": UsdSink, "webm": VideoSink, "mov": VideoSink, "frames": FramesSink,
}  # fmt: skip
"""What writes a file, by its ending; ``frames`` is a folder of PNGs."""

__all__ = [
    "SINKS", "Moment", "Output", "Sink", "Sound", "read_live_link_csv", "read_rig_json", "write_animated_glb",
    "write_live_link_csv", "write_rig_json", "write_usd", "write_vrma",
]  # fmt: skip
