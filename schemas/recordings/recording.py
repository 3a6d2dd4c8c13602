"""Rows of a recording, read through a column mapping, as cases: each transaction with its label.

A row is numbered from 1, a file's header not counted. Rows must be in order of event time. The first row that cannot be
read stops the recording with its number; every row before it has been given.
"""

from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, Overflow
from functools import cache
from typing import Any

import pandas as pd
from iso4217 import Currency
from pydantic import ValidationError

from schemas.label import Label
from schemas.recordings.mapping import LABEL_FIELDS, ColumnMapping, RecordingError, Source, unit
from schemas.recordings.stream import Case
from schemas.transaction import Transaction

FRAUD_VALUES = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
"""What a fraud flag can say, in lower case."""

DECIMALS = {"minor": 0, "ms": 0, "s": 3}
"""Unit to the power of ten that makes it whole: cents from cents, ms from seconds. `major` asks the currency."""

NOISE = Decimal("0.000001")
"""How far from whole an amount may lie, in minor units: files written from binary floats hold 85.64999999999999."""

_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])


class _UnreadableError(ValueError):
    """The row at `index` of a frame has a value that cannot be read."""

    def __init__(self, index: int, detail: str) -> None:
        super().__init__(detail)
        self.index = index


def minor_units(amount: str | float | Decimal, decimals: int) -> int:
    """Return a decimal number times ten to the `decimals`. A float stands for its shortest decimal.

    Decimals are never rounded away; only what is within `NOISE` of a whole number is taken for it.

    >>> minor_units("57.16", 2), minor_units(0.29, 2), minor_units("85.64999999999999", 2), minor_units("1E+2", 0)
    (5716, 29, 8565, 100)
    >>> minor_units("57.165", 2)
    Traceback (most recent call last):
    ValueError: more decimals than 2

    Raises
    ------
    ValueError, ArithmeticError
        Not a number, or one with more decimals than that.
    """
    scaled = _WIDE.scaleb(_WIDE.create_decimal(str(amount)), decimals)
    whole = int(_WIDE.to_integral_value(scaled))
    if abs(scaled - whole) > NOISE:
        raise ValueError(f"more decimals than {decimals}")
    return whole


def cases(frames: Iterable[pd.DataFrame], mapping: ColumnMapping, label_delay_ms: int) -> Iterator[Case]:
    """Give the transaction of every row with its label if it has one, reported `label_delay_ms` after the payment.

    Frames hold the mapped columns, as text or in their own types. A row that says fraud is labelled by a `chargeback`,
    one that says not as `assumed_legitimate`, one that says nothing not at all.

    Raises
    ------
    RecordingError
        A row that cannot be read or is older than the one before it.
    """
    row, latest_ms = 0, 0
    for frame in frames:
        try:
            for case in _frame_cases(frame, mapping, label_delay_ms):
                row += 1
                if case.transaction.event_time_ms < latest_ms:
                    raise RecordingError(f"row {row}: is older than the row before it; sort the rows by time first")
                latest_ms = case.transaction.event_time_ms
                yield case
        except _UnreadableError as error:
            raise RecordingError(f"row {row + 1}: {error}") from None


def _frame_cases(frame: pd.DataFrame, mapping: ColumnMapping, label_delay_ms: int) -> Iterator[Case]:
    try:
        fields = _fields(frame, mapping)
        frauds, fraud_types = (fields.pop(name) for name in LABEL_FIELDS)
    except _UnreadableError as error:
        yield from _frame_cases(frame.iloc[: error.index], mapping, label_delay_ms)
        raise
    names = tuple(fields)
    rows = zip(zip(*fields.values(), strict=True), frauds, fraud_types, strict=True)
    for index, (values, fraud, fraud_type) in enumerate(rows):
        try:
            transaction = Transaction.model_validate(dict(zip(names, values, strict=True)))
            labels = () if fraud is None else (_label(transaction, label_delay_ms, fraud_type, fraud=fraud),)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            raise _UnreadableError(index, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
        yield Case(transaction, labels)


def _label(transaction: Transaction, delay_ms: int, fraud_type: str | None, *, fraud: bool) -> Label:
    return Label.model_validate(
        {
            "transaction_id": transaction.transaction_id,
            "card": transaction.card,
            "merchant": transaction.merchant,
            "verdict": "fraud" if fraud else "legitimate",
            "source": "chargeback" if fraud else "assumed_legitimate",
            "occurred_at_ms": transaction.event_time_ms,
            "reported_at_ms": transaction.event_time_ms + delay_ms,
            "fraud_type": fraud_type if fraud else None,
        }
    )


def _fields(frame: pd.DataFrame, mapping: ColumnMapping) -> dict[str, list[Any]]:
    """Return the frame's columns as lists of field values, the label's two among them."""
    fields: dict[str, list[Any]] = {name: [None] * len(frame) for name in LABEL_FIELDS}
    for name, source in mapping.items():
        if name == "event_time":
            fields["event_time_ms"] = _times_ms(frame, source, unit(mapping, name))
        elif name == "amount":
            continue
        elif name == "utc_offset_minutes":
            fields[name] = _converted(name, _texts(frame, name, source), int)
        elif name == "fraud":
            fields[name] = _converted(name, _texts(frame, name, source), lambda text: FRAUD_VALUES[text.lower()])
        else:
            default = None if name in LABEL_FIELDS else Transaction.model_fields[name].get_default()
            absent = default if isinstance(default, str) else None
            fields[name] = [absent if text is None else text for text in _texts(frame, name, source)]
    fields["amount_minor"] = _amounts_minor(frame, mapping, fields["currency"])
    return fields


def _texts(frame: pd.DataFrame, name: str, source: Source) -> list[str | None]:
    """Return a source's values as text, None where there is none."""
    if source.column is None:
        values: list[Any] = [source.const] * len(frame)
    else:
        column = frame[source.column]
        values = column.astype(object).where(column.notna(), None).tolist() if column.hasnans else column.tolist()
    texts = [None if value is None or value == "" else str(value) for value in values]
    if source.means:
        texts = [meant or None for meant in _converted(name, texts, source.means.__getitem__)]
    return [text and source.prefix + text for text in texts] if source.prefix else texts


def _converted(name: str, texts: list[str | None], convert: Any) -> list[Any]:
    done: list[Any] = []
    try:
        for text in texts:
            done.append(None if text is None else convert(text))  # noqa: PERF401 (the length tells where it failed)
    except (KeyError, ValueError, ArithmeticError):
        raise _UnreadableError(len(done), f"{name}: has a value that cannot be read") from None
    return done


def _times_ms(frame: pd.DataFrame, source: Source, time_unit: str) -> list[int]:
    if time_unit != "iso":
        texts = _texts(frame, "event_time", source)
        return _converted("event_time", texts, lambda text: minor_units(text, DECIMALS[time_unit]))
    column = frame[source.column] if source.column else pd.Series([source.const] * len(frame))
    if not pd.api.types.is_datetime64_any_dtype(column):
        column = column.astype(str)
    times = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    if times.hasnans:
        raise _UnreadableError(int(times.isna().to_numpy().argmax()), "event_time: is not a time (ISO 8601)")
    milliseconds: list[int] = (times.dt.as_unit("us").astype("int64") // 1000).tolist()
    return milliseconds


def _amounts_minor(frame: pd.DataFrame, mapping: ColumnMapping, currencies: list[str | None]) -> list[int]:
    amounts = _texts(frame, "amount", mapping["amount"])
    decimals = DECIMALS.get(unit(mapping, "amount"))
    done: list[int] = []
    try:
        for amount, currency in zip(amounts, currencies, strict=True):
            places = _exponent(currency or "") if decimals is None else decimals
            done.append(minor_units(amount or "", places))
    except (ValueError, ArithmeticError):
        detail = "amount: is not a number with at most as many decimals as its currency has"
        raise _UnreadableError(len(done), detail) from None
    return done


@cache
def _exponent(code: str) -> int:
    """Return how many decimals a currency has; those that have no minor unit (gold) are refused."""
    exponent = Currency(code).exponent
    if exponent is None:
        raise ValueError(f"{code} has no minor unit")
    return int(exponent)
