"""BentoML's own tasks: `POST /render/submit` and `GET /render/status`. Runs in .venv-peer-bentoml."""

import bentoml


@bentoml.service(workers=1, traffic={"timeout": 60})
class Films:
    """Takes orders that nothing is made of."""

    @bentoml.task
    def render(self, model: str, prompt: str, resolution: str, duration_seconds: int) -> dict[str, str]:
        """Return at once: what is measured is what stands around it."""
        return {"model": model, "resolution": resolution}
