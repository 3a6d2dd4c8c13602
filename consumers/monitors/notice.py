"""What is posted of an alert, and how a receiver knows that it is ours."""

import hashlib
import hmac

from schemas.codec import encode
from schemas.registry import Alert

SIGNATURE_HEADER = "Fraud-Signature"
STALE_MS = 86_400_000
"""An alert that is older is not posted: who begins to listen wants to know what is, and not what was."""


def body_of(alert: Alert) -> bytes:
    """Return the JSON that is posted: the alert as it is in its topic."""
    return encode(alert)


def headers_of(body: bytes, key: bytes, at_ms: int) -> dict[str, str]:
    """Return the headers of a post; with a key, they sign time and body (HMAC-SHA-256, RFC 2104).

    The time is signed with it, so that a receiver can refuse what somebody sends again later.

    >>> headers_of(b"{}", b"", 0)
    {'Content-Type': 'application/json'}
    >>> headers_of(b"{}", b"secret", 1_522_540_800_000)["Fraud-Signature"][:24]
    't=1522540800000,v1=3eecf'
    """
    headers = {"Content-Type": "application/json"}
    if key:
        signature = hmac.new(key, b"%d." % at_ms + body, hashlib.sha256).hexdigest()
        headers[SIGNATURE_HEADER] = f"t={at_ms},v1={signature}"
    return headers
