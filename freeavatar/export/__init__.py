"""Exports: one performance as a Live Link Face CSV, as JSON, or as an animated avatar."""

from freeavatar.export.glb import write_animated_glb
from freeavatar.export.live_link import read_live_link_csv, write_live_link_csv
from freeavatar.export.rig_json import read_rig_json, write_rig_json

__all__ = [
    "read_live_link_csv",
    "read_rig_json",
    "write_animated_glb",
    "write_live_link_csv",
    "write_rig_json",
]
