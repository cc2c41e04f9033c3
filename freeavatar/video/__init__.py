"""Video files: any of them in as upright RGB frames with exact times, H.264 MP4 out."""

from freeavatar.video.reader import LARGEST, VideoInfo, VideoReader
from freeavatar.video.writer import VideoWriter

__all__ = ["LARGEST", "VideoInfo", "VideoReader", "VideoWriter"]
