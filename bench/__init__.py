"""`make bench`: what the suite does per second, how long it takes, what it costs; see docs/bench.md."""
