"""Two commits measured against each other in one run; see docs/bench.md."""
