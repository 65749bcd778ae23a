"""Caller tokens: the keys that sign them, and tokens for internal services."""
