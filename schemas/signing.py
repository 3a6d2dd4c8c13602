"""Ed25519 signatures over records (RFC 8032): made by the one who may write a topic, checked before a byte is parsed.

A signature travels in the headers of its record. It covers the topic, the key, the time of signing and the very bytes
of the value, each with its length, so that what was signed as one thing cannot be passed off as another. Keys are bytes
here; `schemas/key_files.py` reads them.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from schemas.topics import ALIASES, CONTROLS, MODELS, POLICIES, RATES, Topic

Headers = Sequence[tuple[str, bytes | None]]
Distrust = Literal["unsigned", "unknown_key", "forged"]

KEY_ID, SIGNED_AT, SIGNATURE = "signature-key", "signature-at-ms", "signature"
TIME_DIGITS_MAX = 15
DOMAIN = b"fraud-stream record 1"
SIGNER_OF: Mapping[Topic, str] = {
    MODELS: "learner",
    ALIASES: "learner",
    POLICIES: "publisher",
    RATES: "publisher",
    CONTROLS: "operator",
}
"""Whose signature a record must have, by the names of `schemas/access.py`: the key of another is as good as none."""


class UntrustedError(Exception):
    """A record is not signed by one who may write it."""

    def __init__(self, kind: Distrust, text: str) -> None:
        super().__init__(text)
        self.kind: Distrust = kind


def signed_bytes(topic: Topic, key: bytes, value: bytes, at_ms: int) -> bytes:
    """Return what a signature is over: each part behind its length, eight bytes each."""
    parts = (DOMAIN, topic.name.encode(), key, str(at_ms).encode(), value)
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def key_id_of(public: Ed25519PublicKey) -> str:
    """Return the name that follows from a public key: nobody has to agree on one."""
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


class Signer:
    """A private key. It shows its id and nothing else."""

    def __init__(self, pem: bytes) -> None:
        """Take the key of a PEM text, without a password. Raises ValueError where it holds no Ed25519 private key."""
        key = _private_key(pem)
        self._key = key
        self.key_id = key_id_of(key.public_key())

    def headers(self, topic: Topic, key: bytes, value: bytes, at_ms: int = 0) -> tuple[tuple[str, bytes], ...]:
        """Return the headers of a record; the time of signing counts where an older document must not come back."""
        signature = self._key.sign(signed_bytes(topic, key, value, at_ms))
        return ((KEY_ID, self.key_id.encode()), (SIGNED_AT, str(at_ms).encode()), (SIGNATURE, signature))

    @property
    def public_pem(self) -> bytes:
        """The public half, for those who check."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"


class Signed(NamedTuple):
    """A signature that holds: by whose key, by the name of its file, and when."""

    owner: str
    key_id: str
    at_ms: int


class TrustedKeys:
    """Public keys, by whom they speak for. Without any nothing is believed.

    Parameters
    ----------
    keys : principal -> owner -> PEM. An owner may have several principals; a key speaks for those that name it.
    """

    def __init__(self, keys: Mapping[str, Mapping[str, bytes]]) -> None:
        """Take the keys. Raises ValueError where a text holds no Ed25519 public key, or an owner has no name."""
        self._keys: dict[tuple[str, str], tuple[str, Ed25519PublicKey]] = {}
        for principal, owners in keys.items():
            for owner, pem in owners.items():
                if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", owner):
                    raise ValueError("is of nobody: an owner has letters, digits, dots and dashes")
                public = _public_key(pem)
                self._keys[principal, key_id_of(public)] = owner, public

    def check(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers) -> Signed:
        """Return who signed a record of a topic.

        Raises
        ------
        UntrustedError
            `unsigned`: headers are missing; `unknown_key`: of nobody who may write this topic; `forged`: what was
            signed is not this record.
        """
        given = dict(headers)
        key_id, signature, at = (given.get(name) or b"" for name in (KEY_ID, SIGNATURE, SIGNED_AT))
        if not (key_id and signature and at and key is not None and value is not None):
            raise UntrustedError("unsigned", "it has no signature")
        known = self._keys.get((SIGNER_OF[topic], key_id.decode("latin-1")))
        if known is None:
            raise UntrustedError("unknown_key", f"its key is of no {SIGNER_OF[topic]} that is trusted")
        owner, public = known
        if not at.isdigit() or len(at) > TIME_DIGITS_MAX:
            raise UntrustedError("forged", "its signature is not over this record")
        try:
            public.verify(signature, signed_bytes(topic, key, value, int(at)))
        except InvalidSignature:
            raise UntrustedError("forged", "its signature is not over this record") from None
        return Signed(owner, key_id_of(public), int(at))

    def owner_of(self, principal: str, key_id: str) -> str | None:
        """Return whose key speaks for a principal, None where it does not."""
        known = self._keys.get((principal, key_id))
        return known[0] if known else None

    def __len__(self) -> int:
        return len(self._keys)


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    key = _loaded(lambda: load_pem_private_key(pem, None))
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise ValueError("holds no Ed25519 private key as PEM without a password")


def _public_key(pem: bytes) -> Ed25519PublicKey:
    key = _loaded(lambda: load_pem_public_key(pem))
    if isinstance(key, Ed25519PublicKey):
        return key
    raise ValueError("holds no Ed25519 public key as PEM")


def _loaded(load: Callable[[], object]) -> object:
    try:
        return load()
    except Exception:  # noqa: BLE001 - the library's errors may quote what it was given
        return None
