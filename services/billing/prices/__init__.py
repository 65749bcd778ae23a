"""Prices: immutable versions of the price book, and quotes."""
