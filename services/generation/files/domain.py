"""Rules of files: where objects lie, what a picture may be, what a made video reports. Pure."""

import dataclasses
import datetime

UPLOAD_LIMIT_BYTES = 32 * 1024 * 1024
UNREADY_FOR = datetime.timedelta(hours=24)
"""An upload or output that has not become READY by then is swept."""
MIN_KEPT = datetime.timedelta(days=1)
AFTER_LAST_USE = datetime.timedelta(hours=1)
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "video/mp4": "mp4"}


@dataclasses.dataclass(frozen=True)
class Made:
    """A made video as measured on its final bytes. `aigc` is the JSON of the metadata label as read back."""

    size_bytes: int
    sha256: str
    width: int
    height: int
    frame_rate: float
    duration_seconds: float
    visible_seconds: float
    visible_ink_percent: float
    aigc: str


def input_expiry(now: datetime.datetime, days: int) -> datetime.datetime:
    """Return when an uploaded picture is removed: after the profile's days, but not before it could be used."""
    return now + kept(days)


def kept(days: int) -> datetime.timedelta:
    """Return how long content is kept by a profile's days, but never too short to be fetched or used."""
    return max(datetime.timedelta(days=days), MIN_KEPT)


def file_name(file_id: str, content_type: str) -> str:
    """Return the name that a download is offered under; nothing in it comes from the customer."""
    return f"{file_id}.{EXTENSIONS.get(content_type, 'bin')}"


def input_object(organization: str, file_id: str) -> str:
    """Key of an uploaded picture, byte for byte as it came."""
    return f"inputs/{organization}/{file_id}"


def frame_object(input_key: str) -> str:
    """Key of the picture that a model is given: upright, without metadata, JPEG, at most 3840 pixels on a side."""
    return f"{input_key}.frame.jpg"


def output_object(organization: str, video_id: str, file_id: str) -> str:
    """Key of a made video; each attempt has a file of its own."""
    return f"outputs/{organization}/{video_id}/{file_id}.mp4"


def objects_of(kind: str, key: str) -> list[str]:
    """Return all objects that belong to a file."""
    return [key, frame_object(key)] if kind == "IMAGE" else [key]
