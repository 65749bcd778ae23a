"""Policies: published documents, their versions and texts, and the receipts of their acceptance."""
