"""The life of a model's process: it must not outlive its server."""

import os
import threading
import time

LOOKING_SECONDS = 0.5


def end_with_parent() -> None:
    """Ends this process within a second after the server that started it has died.

    Triton's stub does not notice when the server is killed: it would stay for ever, with its memory or its GPU.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), name="parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOKING_SECONDS)
    os._exit(1)
