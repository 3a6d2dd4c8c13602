"""Columns of the store's tables, and how a message becomes a row of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:  # that module has the tables that are made of these columns
    from consumers.rows import Record

Row = tuple[Any, ...]
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Column(Generic[Read]):
    """One column of a table: its name, and where its value comes from.

    That is a path of fields from the message, or what makes a value of message and record. A `text` that the message
    leaves out is an empty one.
    """

    name: str
    value: "str | Callable[[Read, Record], Any]"
    text: bool = False


def as_named(*names: str, of: str = "", text: bool = False) -> tuple[Column[Any], ...]:
    """Return columns that are called as fields of the message are, or of the message in its field `of`."""
    return tuple(Column(name, f"{of}.{name}" if of else name, text) for name in names)


def row_maker(columns: Sequence[Column[Read]]) -> "Callable[[Read, Record], Row]":
    """Return what makes a row, of two columns or more that are paths: one call fetches the fields of them all.

    >>> from schemas.label import Outcome
    >>> columns = (*as_named("card", "kind"), *as_named("currency", text=True), Column("at", lambda _, record: record))
    >>> said = Outcome(transaction_id="t", card="card_a", merchant="mer_b", kind="refunded", occurred_at_ms=10**12)
    >>> row_maker(columns)(said, 7)
    ('card_a', 'refunded', '', 7)
    """
    paths = [column for column in columns if isinstance(column.value, str)]
    fields_of = attrgetter(*[str(column.value) for column in paths])
    texts = [place for place, column in enumerate(paths) if column.text]
    made = [(column.name, column.value) for column in columns if not isinstance(column.value, str)]
    values = [value for _, value in made]
    found = [column.name for column in paths] + [name for name, _ in made]
    in_order = itemgetter(*[found.index(column.name) for column in columns])

    def row_of(read: Read, record: "Record") -> Row:
        row = list(fields_of(read))
        for place in texts:
            if row[place] is None:
                row[place] = ""
        row += [value(read, record) for value in values]
        ordered: Row = in_order(row)
        return ordered

    return row_of
