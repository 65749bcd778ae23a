"""Versions of the generation database."""
