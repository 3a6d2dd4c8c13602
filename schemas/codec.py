"""Bytes to a message or to an explained failure, and back. The one decoder and encoder of every room."""

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from schemas.fields import CardToken, Identifier, Message

VALUE_BYTES_MAX = 262_144
"""Largest message that is read. A topic may carry more, so that what is over can be refused with a reason."""

AnyMessage = TypeVar("AnyMessage", bound=Message)


@dataclass(frozen=True, slots=True)
class DecodeFailure:
    """Why some bytes are no message. `detail` names fields and rules, never the sender's values."""

    reason: Literal["not_json", "invalid", "too_large"]
    detail: str


def decode(
    kind: type[AnyMessage], value: bytes | None, *, bytes_max: int = VALUE_BYTES_MAX
) -> AnyMessage | DecodeFailure:
    """Return the message in the bytes, or why there is none. Only what nobody else can write may be larger: a model.

    >>> from schemas.registry import Control
    >>> decode(Control, b"{").reason
    'not_json'
    >>> from schemas.transaction import Transaction
    >>> decode(Transaction, b'{"transaction_id": "t", "card": "card_a", "merchant": "mer_b", "amount_minor": -1,'
    ...        b' "currency": "EUR", "event_time_ms": 1522540800000}').detail
    'amount_minor: Input should be greater than or equal to 0'
    """
    if value is None:
        return DecodeFailure("not_json", "the record has no value")
    if len(value) > bytes_max:
        return DecodeFailure("too_large", f"{len(value)} bytes; at most {bytes_max} are read")
    try:
        return kind.model_validate_json(value)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        reason: Literal["not_json", "invalid"] = "not_json" if problems[0]["type"] == "json_invalid" else "invalid"
        detail = "; ".join(
            ": ".join(filter(None, (".".join(map(str, problem["loc"])), problem["msg"]))) for problem in problems[:5]
        )
        return DecodeFailure(reason, detail)


def encode(message: Message) -> bytes:
    """Return the message as JSON, absent fields left out. The same message always gives the same bytes.

    Meant for the hot path, so it calls the model's own serializer.
    """
    encoded: bytes = message.__pydantic_serializer__.to_json(message, exclude_none=True)
    return encoded


@dataclass(frozen=True, slots=True)
class ReadableIdentity:
    """What could be read of a refused transaction, to answer it."""

    transaction_id: str
    card: str | None


_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)
_CARD: TypeAdapter[str] = TypeAdapter(CardToken)


def readable_identity(value: bytes | None) -> ReadableIdentity | None:
    """Return the transaction's id, and the card where it is a token, from a message that is not valid otherwise.

    >>> readable_identity(b'{"transaction_id": "tx-9", "card": "4111111111111111"}')
    ReadableIdentity(transaction_id='tx-9', card=None)
    >>> readable_identity(b"[]") is None
    True
    """
    try:
        fields = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    transaction_id = _accepted(_IDENTIFIER, fields.get("transaction_id"))
    return ReadableIdentity(transaction_id, _accepted(_CARD, fields.get("card"))) if transaction_id else None


def _accepted(kind: TypeAdapter[str], text: Any) -> str | None:
    try:
        return kind.validate_python(text, strict=True)
    except ValidationError:
        return None
