"""The outbox: one private file per message, in place of mail and SMS. Never logged."""

import asyncio
import dataclasses
import datetime
import json
import os
import tempfile
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Message:
    """A message to a contact point. `code` stands alone too, so that a script can read it."""

    id: str
    time: datetime.datetime
    to: str
    channel: str
    locale: str
    template: str
    subject: str
    text: str
    code: str = ""


class Outbox:
    """Writes messages as `<utc>-<id>.json`, mode 0600; names sort by time, and the same message has the same name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def send(self, message: Message) -> None:
        """Write a message, whole or not at all; writing it again replaces it."""
        await asyncio.to_thread(self._write, message)

    def _write(self, message: Message) -> None:
        fields = dataclasses.asdict(message) | {"time": message.time.isoformat()}
        if not message.code:
            del fields["code"]
        moment = message.time.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                json.dump(fields, out, ensure_ascii=False, indent=1)
                out.flush()
                os.fsync(out.fileno())
            Path(name).rename(self._folder / f"{moment}-{message.id}.json")
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
