"""Codes and sessions: how a person proves who they are."""
