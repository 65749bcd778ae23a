"""Accounts: the person, the age rule and the standing."""
