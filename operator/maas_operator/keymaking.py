"""Making a key: the one home of its form, on a user's machine and in the operator."""

import hashlib
import secrets

PREFIX = "sk-maas-"
"""Scanners for leaked secrets know `sk-`; the rest says whose it is."""
BYTES = 32


def new_key() -> str:
    """A key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(BYTES)


def digest_of(key: str) -> str:
    """What the cluster knows a key by: its SHA-256, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()
