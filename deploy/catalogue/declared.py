"""Columns of views that take parameters: the engine tells them of none, so they are read where they are declared."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

VIEW = re.compile(r"^CREATE OR REPLACE VIEW (v_\w+)\n\((.*?)\n\)\nAS ", re.MULTILINE | re.DOTALL)
COLUMN = re.compile(r"^    (\w+) ([^\n]+?)\s+COMMENT '((?:[^']|'')+)'", re.MULTILINE)


class Column(NamedTuple):
    """A column as its view declares it."""

    table: str
    name: str
    type: str
    comment: str


def declared(statements: Sequence[str]) -> Iterator[Column]:
    r"""Give the columns of each view in some SQL.

    >>> [*declared(["CREATE OR REPLACE VIEW v_days\n(\n    day Date COMMENT 'Day, of UTC'\n)\nAS SELECT 1"])]
    [Column(table='v_days', name='day', type='Date', comment='Day, of UTC')]
    """
    for statement in statements:
        for view, columns in VIEW.findall(statement):
            for name, kind, comment in COLUMN.findall(columns):
                yield Column(view, name, kind, comment.replace("''", "'"))
