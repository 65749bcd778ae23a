"""Retention: nothing of this service's own outlives its term."""
