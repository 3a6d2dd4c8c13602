"""Which column of a recording is which field: a TOML of one line per field.

    card = { column = "CUSTOMER_ID", prefix = "card_" }    # a column, with something put before it
    currency = { const = "EUR" }                           # the same for every row
    channel = { column = "CH", means = { P = "pos", E = "ecommerce" } }
    amount = { column = "AMOUNT", unit = "major" }         # or "minor": cents, yen, fils
    event_time = { column = "AT", unit = "iso" }           # or "s", "ms": numbers since 1970; UTC where no zone is said
    fraud = { column = "IS_FRAUD" }                        # 0/1, false/true; empty means no label. Leave out: no labels

Every field of a transaction can be mapped by its name; `amount` and `event_time` stand for those that have a unit.
"""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from schemas.transaction import Transaction

REQUIRED = ("transaction_id", "card", "merchant", "amount", "currency", "event_time")
LABEL_FIELDS = ("fraud", "fraud_type")
FIELDS = (*REQUIRED, *(set(Transaction.model_fields) - {"amount_minor", "event_time_ms", *REQUIRED}), *LABEL_FIELDS)
UNITS = {"amount": ("major", "minor"), "event_time": ("iso", "s", "ms")}
"""Field to the units it can have; the first is meant where none is said."""


class RecordingError(ValueError):
    """A recording that cannot be read, in one line that names the row."""


class MappingError(ValueError):
    """A mapping that cannot be used, in one line."""


class Source(BaseModel):
    """Where the value of one field comes from: a column or a constant."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    column: str | None = None
    const: str | None = None
    prefix: str = ""
    means: dict[str, str] = {}
    unit: Literal["major", "minor", "iso", "s", "ms"] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Source":
        if (self.column is None) == (self.const is None):
            raise ValueError("give one of column and const")
        return self


ColumnMapping = Mapping[str, Source]
_SOURCES = TypeAdapter(dict[str, Source])


def parse_mapping(text: str) -> ColumnMapping:
    """Return the mapping in a TOML text.

    >>> parse_mapping('card = { column = "C", prefx = "card_" }')
    Traceback (most recent call last):
    schemas.recordings.mapping.MappingError: card.prefx: Extra inputs are not permitted

    Raises
    ------
    MappingError
        Not TOML, a field that no transaction has, one that is missing, or a source that is not one.
    """
    try:
        sources = _SOURCES.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"not TOML: {error}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise MappingError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    for field, source in sources.items():
        if field not in FIELDS:
            raise MappingError(f"{field} is not a field of a transaction; there are {', '.join(sorted(FIELDS))}")
        if source.unit not in {None, *UNITS.get(field, ())}:
            raise MappingError(f"{field}: has unit {' or '.join(UNITS.get(field, ())) or 'none'}, not {source.unit}")
    missing = [field for field in REQUIRED if field not in sources]
    if missing:
        raise MappingError(f"{', '.join(missing)} must be mapped")
    return sources


def columns(mapping: ColumnMapping) -> list[str]:
    """Return the columns that a recording must have, each once, in the mapping's order."""
    return list(dict.fromkeys(source.column for source in mapping.values() if source.column is not None))


def check_columns(mapping: ColumnMapping, present: Iterable[str], recording: str = "the file") -> None:
    """Refuse a recording that lacks a mapped column.

    Raises
    ------
    MappingError
        Naming the fields and columns that are missing, and the columns there are.
    """
    there = list(present)
    missing = [
        f"{source.column} (for {field})" for field, source in mapping.items() if source.column not in {None, *there}
    ]
    if missing:
        raise MappingError(f"{recording} has no column {', '.join(missing)}; it has {', '.join(there) or 'none'}")


def unit(mapping: ColumnMapping, field: str) -> str:
    """Return the unit of a field that has one."""
    return mapping[field].unit or UNITS[field][0]
