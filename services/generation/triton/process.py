"""A model's process: it must not outlive its server, nor show others what it works on."""

import os
import threading
import time
from pathlib import Path

LOOKING_SECONDS = 0.5
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where Linux keeps it; the server names the region on our command line


def end_with_parent() -> None:
    """Ends this process within a second after the server that started it has died.

    Triton's stub does not notice when the server is killed: it would stay for ever, with its memory or its GPU.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), name="parent", daemon=True).start()


def keep_private() -> None:
    """Closes the shared memory through which prompts and pictures come to every other user of the machine.

    The server makes it readable to all, whatever its umask.
    """
    for argument in Path("/proc/self/cmdline").read_bytes().split(b"\0"):
        region = SHARED_MEMORY / os.fsdecode(argument)
        if argument and b"/" not in argument and region.is_file():
            region.chmod(0o600)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOKING_SECONDS)
    os._exit(1)
