"""The documents that are in force until others are published: a policy and a rate table, shipped beside the code."""

import sys
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from schemas.codec import DecodeFailure, decode
from schemas.learning import PolicyVersion, RateTable

Document = TypeVar("Document", PolicyVersion, RateTable)


@cache
def shipped_policy() -> PolicyVersion:
    """Return the policy that decides where none was published."""
    return _shipped(PolicyVersion, "policy.json")


@cache
def shipped_rates() -> RateTable:
    """Return the rates that amounts are compared by where none were published."""
    return _shipped(RateTable, "rates.json")


def _shipped(kind: type[Document], name: str) -> Document:
    document = decode(kind, (files("streams") / "documents" / name).read_bytes())
    assert not isinstance(document, DecodeFailure), f"{name}: {document.detail}"
    return document


def read_document(kind: type[Document], path: Path) -> Document:
    """Return the document in a JSON file, or stop the process with one line that says what is wrong."""
    try:
        document = decode(kind, path.read_bytes())
    except OSError as error:
        sys.exit(f"{path}: {error.strerror}")
    if isinstance(document, DecodeFailure):
        sys.exit(f"{path}: {document.detail}")
    return document
