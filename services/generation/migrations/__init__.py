"""Migrations of the generation database."""
