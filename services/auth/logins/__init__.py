"""Codes and sessions: how a person proves who he is."""
