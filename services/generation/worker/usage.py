"""How this worker's models and slots are used, for the metrics: time busy, time idle, time of each stage."""

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from opentelemetry.trace import Span

from services.runtime import metrics, tracing


class Usage:
    """Adds up, per model, the time in which loaded instances worked and in which they did not. Safe in any thread."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._lock = threading.Lock()
        self._instances: dict[str, int] = {}
        self._working: collections.Counter[str] = collections.Counter()
        self._busy: dict[str, float] = collections.defaultdict(float)
        self._idle: dict[str, float] = collections.defaultdict(float)
        self._told = steady()

    def watch(self) -> None:
        """Have the metrics read it."""
        metrics.watch("filmgate_model_slots", lambda: [(n, {"model": model}) for model, n in self._instances.items()])
        metrics.watch("filmgate_model_busy_seconds_total", lambda: self._read(self._busy))
        metrics.watch("filmgate_model_idle_seconds_total", lambda: self._read(self._idle))

    def loaded(self, model: str, instances: int) -> None:
        """Say how many instances of a model are loaded now."""
        with self._lock:
            self._add()
            self._instances = {**self._instances, model: instances}

    @contextlib.contextmanager
    def busy(self, model: str) -> Iterator[None]:
        """An instance of the model works for the block."""
        self._work(model, 1)
        try:
            yield
        finally:
            self._work(model, -1)

    def _work(self, model: str, step: int) -> None:
        with self._lock:
            self._add()
            self._working[model] += step

    def _add(self) -> None:
        """Count the time since the last change."""
        now = self._steady()
        for model, instances in self._instances.items():
            working = self._working[model]
            self._busy[model] += working * (now - self._told)
            self._idle[model] += max(0, instances - working) * (now - self._told)
        self._told = now

    def _read(self, counted: dict[str, float]) -> list[tuple[float, dict[str, str]]]:
        with self._lock:
            self._add()
            return [(counted[model], {"model": model}) for model in self._instances]


usage = Usage()
"""Of this process."""


class Stages:
    """Measures the stages of one attempt at a video, as the model's events and the worker name them."""

    def __init__(self, model: str) -> None:
        self._model, self._stage, self._began = model, "", 0.0
        self._span: Span | None = None

    def __enter__(self) -> "Stages":
        return self

    def __exit__(self, *_: object) -> None:
        self.enter("")

    def enter(self, stage: str) -> None:
        """Begin a stage, which ends the one before; the same again changes nothing; "" only ends."""
        if stage == self._stage:
            return
        if self._stage:
            seconds = time.monotonic() - self._began
            metrics.observe("filmgate_video_stage_seconds", seconds, model=self._model, stage=self._stage)
            tracing.close(self._span)
        self._stage, self._began = stage, time.monotonic()
        self._span = tracing.child(f"stage {stage}", model=self._model, stage=stage) if stage else None
