"""The moderation room: what may be made."""
