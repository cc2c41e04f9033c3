"""Video files: any of them in as upright RGB frames with exact times, H.264 MP4 out. And cameras."""

from freeavatar.video.camera import Camera
from freeavatar.video.reader import LARGEST, VideoInfo, VideoReader
from freeavatar.video.writer import VideoWriter

__all__ = ["LARGEST", "Camera", "VideoInfo", "VideoReader", "VideoWriter"]
