"""gvcodec: a neural video codec for very low bitrate."""

__version__ = "0.1.0"
