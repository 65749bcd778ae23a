"""Wallets: prepaid money in lots, holds for open videos, and the journal."""
