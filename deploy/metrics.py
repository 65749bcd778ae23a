"""`python -m deploy.metrics`: writes the list of all metrics into docs/operations.md, from the one table."""

from pathlib import Path

from services.runtime import metrics

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operations.md"
BEGIN, END = "<!-- metrics: written by make docs -->\n", "<!-- end of metrics -->\n"
UNITS = {"s": "seconds", "By": "bytes", "1": "number"}


def listing() -> str:
    """The table of all metrics as Markdown, in the order of the table they come from."""
    rows = [
        f"| `{name}` | {row.kind} | {UNITS[row.unit]} | {', '.join(row.labels.split())} | {row.meaning}"
        f" | {', '.join(row.processes.split())} |"
        for name, row in metrics.TABLE.items()
    ]
    return "\n".join(
        ["| metric | kind | unit | labels | meaning | processes |", "|---|---|---|---|---|---|", *rows, ""]
    )


def written(page: str) -> str:
    """The page with today's list. Raises ValueError when it has no place for one."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{PAGE.name} has no place for the metrics")
    return f"{before}{BEGIN}{listing()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
