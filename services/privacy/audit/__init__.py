"""Audit: the append-only record of what operators and the system did in any service."""
