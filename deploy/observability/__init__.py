"""Watching a suite: Prometheus with its rules, a dashboard, and a small receiver that shows traces."""
