"""Moderation: what may be made."""
