"""Tokens of clients with credentials (I1): signed, short-lived, verified by every replica's Envoy by itself.

A token says which key it was given for, and the gateway looks that key up with each request: a deleted key's tokens end
with it.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from maas_operator.gateway.facts import Key
from maas_operator.gateway.signing import SigningKey

ISSUER = "maas-operator"


def jwks(keys: Sequence[SigningKey]) -> dict[str, Any]:
    """The secrets as a JSON Web Key Set."""
    return {"keys": [{"kty": "oct", "alg": "HS256", "kid": key.id, "k": _text(key.secret.encode())} for key in keys]}


def sign(key: Key, signing: SigningKey, now: float, valid_for: int) -> str:
    """A token for a key of kind ClientCredentials. now: seconds since 1970; valid_for: seconds."""
    head = {"alg": "HS256", "typ": "JWT", "kid": signing.id}
    claims = {"iss": ISSUER, "sub": key.path, "key": key.credential, "iat": int(now), "exp": int(now) + valid_for}
    said = ".".join(_text(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    signature = hmac.digest(signing.secret.encode(), said.encode(), hashlib.sha256)
    return f"{said}.{_text(signature)}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
