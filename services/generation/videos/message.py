"""Writes a video's row as the contract's Video."""

import datetime
from collections.abc import Mapping
from typing import Any

from google.protobuf import any_pb2, timestamp_pb2
from google.rpc import error_details_pb2

from filmgate.generation.v1 import videos_pb2
from services.generation import errors
from services.generation.clients import money
from services.generation.files.tables import FileRow
from services.generation.videos import domain
from services.generation.videos.domain import Parameters, Place
from services.generation.videos.tables import VideoRow
from services.runtime.errors import COMMON


class Writer:
    """Writes videos for one public address. `percent` is what each outcome is charged, by billing's published table."""

    def __init__(self, public_url: str) -> None:
        self._url = public_url.rstrip("/")

    def video(
        self,
        row: VideoRow,
        now: datetime.datetime,
        *,
        output: FileRow | None = None,
        place: Place | None = None,
        percent: Mapping[str, int] | None = None,
    ) -> videos_pb2.Video:
        """Write one video. Until it is settled the price is what its outcome costs; the outcome alone decides it."""
        video = videos_pb2.Video(
            name=f"videos/{row.id}",
            id=row.id,
            external_id=row.external_id or "",
            state=row.state,
            progress_percent=row.progress_percent,
            stage=row.stage or "STAGE_UNSPECIFIED",
            parameters=parameters(row),
            price_version=row.price_version or 0,
            settlement=row.settlement or "SETTLEMENT_UNSPECIFIED",
            account=row.account,
            create_time=row.create_time,
            start_time=row.start_time,
            end_time=row.end_time,
            expire_time=row.expire_time,
            start_deadline=row.start_deadline,
        )
        _write_money(video, row, percent or {})
        if place is not None:
            start = timestamp(now + datetime.timedelta(seconds=place.seconds))
            video.queue.CopyFrom(videos_pb2.QueuePlace(position=place.position, start_time=start))
        if output is not None:
            video.output.CopyFrom(self._output(row, output))
        if row.error_reason:
            _write_error(video, row)
        return video

    def _output(self, row: VideoRow, file: FileRow) -> videos_pb2.Output:
        labels = videos_pb2.Labels(
            visible_seconds=file.visible_seconds, visible_ink_percent=file.visible_ink_percent, aigc=file.aigc
        )
        return videos_pb2.Output(
            file=file.id,
            url=f"{self._url}/v1/videos/{row.id}/content",
            width=file.width,
            height=file.height,
            frame_rate=file.frame_rate,
            duration_seconds=file.duration_seconds,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            labels=labels,
        )


def parameters(source: VideoRow | Parameters) -> videos_pb2.Parameters:
    """Write the parameters as resolved."""
    return videos_pb2.Parameters(
        model=source.model,
        prompt=source.prompt or "",
        negative_prompt=source.negative_prompt or "",
        image=source.image or "",
        duration_seconds=source.duration_seconds,
        resolution=source.resolution,
        aspect_ratio=source.aspect_ratio,
        seed=source.seed,
        camera_control=None if source.camera is None else videos_pb2.CameraControl(**source.camera),
        width=source.width,
        height=source.height,
        frame_rate=source.frame_rate,
    )


def timestamp(moment: datetime.datetime) -> timestamp_pb2.Timestamp:
    """Write a moment."""
    written = timestamp_pb2.Timestamp()
    written.FromDatetime(moment)
    return written


def _write_money(video: videos_pb2.Video, row: VideoRow, percent: Mapping[str, int]) -> None:
    if row.quote_micros is None or row.currency is None:
        return
    video.quote.CopyFrom(money(row.quote_micros, row.currency))
    price = row.price_micros
    if price is None and row.outcome and row.outcome in percent:
        price = domain.charge(row.quote_micros, percent[row.outcome])
    if price is not None:
        video.price.CopyFrom(money(price, row.currency))


def _write_error(video: videos_pb2.Video, row: VideoRow) -> None:
    reason = row.error_reason or ""
    kind = errors.KIND.kinds.get(reason) or COMMON[reason]
    metadata: dict[str, Any] = {
        **(row.error_metadata or {}),
        "retryable": str(reason in domain.RETRYABLE).lower(),
        "charged": str(video.price.units > 0 or video.price.nanos > 0).lower(),
    }
    info = error_details_pb2.ErrorInfo(reason=reason, domain=errors.DOMAIN, metadata=metadata)
    packed = any_pb2.Any()
    packed.Pack(info)
    video.error.code = kind.code.value[0]
    video.error.message = row.error_message or ""
    video.error.details.append(packed)
