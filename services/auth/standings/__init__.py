"""Policies in force and their acceptance, as privacy tells them."""
