"""Whether a text holds what no data set may: a card number, an e-mail address or a phone number.

Tokens and ids are of letters, digits and `. _ : ~ -`, so a run of digits alone is no phone number; one is known by its
plus sign (ITU-T E.164) or by how it is written: an area code in brackets, three groups as in North America, or a
leading zero and a space.
"""

import re
from typing import TYPE_CHECKING, NamedTuple

from schemas.fields import holds_card_number

if TYPE_CHECKING:
    import pyarrow as pa

_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(
    r"(?<!\w)\+\d(?:[ ().-]{0,2}\d){6,14}(?!\d)"
    r"|(?<!\w)\(\d{2,5}\) ?\d{3}[ -]?\d{2,5}(?!\w)"
    r"|(?<![\w.-])\d{3}[-. ]\d{3}[-. ]\d{4}(?![\w-])"
    r"|(?<![\w.-])0\d{1,5}[ /]\d{3}(?:[ -]?\d){1,7}(?!\w)"
)


class Hit(NamedTuple):
    """Where personal data is: the row of the table, the column, and what it could be."""

    row: int
    column: str
    kind: str


def personal_data_in(text: str) -> str | None:
    """Return what a text could hold, or None.

    >>> [personal_data_in(text) for text in ("4111 1111 1111 1111", "write to ada@example.org", "+49 171 2345678")]
    ['a card number', 'an e-mail address', 'a phone number']
    >>> [personal_data_in(text) for text in ("(212) 555-0123", "212-555-0123", "0171 2345678")]
    ['a phone number', 'a phone number', 'a phone number']
    >>> [personal_data_in(text) for text in ("tx-1522540800000", "card_8f14e45f", "2018-04-01", "Visa 10.4", "4837")]
    [None, None, None, None, None]
    """
    if holds_card_number(text):
        return "a card number"
    if "@" in text and _EMAIL.search(text):
        return "an e-mail address"
    return "a phone number" if _PHONE.search(text) else None


def first_hit(table: "pa.Table") -> Hit | None:
    """Return the first row of a table whose text holds personal data; each different text is looked at once."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if str(column.type) not in {"string", "large_string"}:
            continue
        for text in column.unique().to_pylist():
            kind = personal_data_in(text) if text else None
            if kind:
                return Hit(column.index(text).as_py(), name, kind)
    return None
