"""Addresses to call from: a customer each, so that limits per address hold in tests as they do outside."""

import secrets


def an_address() -> str:
    """Draw a loopback address; all of 127.0.0.0/8 is this machine."""
    return ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])
