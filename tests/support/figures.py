"""What a metrics page says, read by Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

from services.runtime import metrics


def figure(name: str, labels: dict[str, str] | None = None, page: str | None = None) -> float:
    """The value of a sample of this process's page, or of `page`; 0 while it has none."""
    text = metrics.page().decode() if page is None else page
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == (labels or {}):
                return sample.value
    return 0.0
