"""The catalogue as a page of Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

HEAD = """\
# Catalogue

Everything that is sent, remembered and stored: what it means, in which unit, where it comes from, who writes it, of
which class of personal data it is, for how long it is kept and what uses it. Made by `python -m deploy.catalogue` from
the messages, the topic table, the access table, the feature table and the comments of the store; a test keeps it true.
The same as JSON, and by word: `python -m consumers catalogue`. Types in Python's words are those of JSON; those of
tables are ClickHouse's. Times without a unit in their name are UTC.
"""


def page(catalogue: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = [HEAD, _classes(catalogue["classes"]), *_topics(catalogue["topics"])]
    return "\n".join([*parts, _features(catalogue["features"]), *_tables(catalogue["tables"])])


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(value: Any) -> str:
    r"""Return a value as a cell.

    >>> _cell(["a", "b"]), _cell("one | two"), _cell(1e18), _cell(None)
    ('a, b', 'one \\| two', '1e+18', '')
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str("" if value is None else value).replace("|", "\\|")


def _classes(classes: Mapping[str, str]) -> str:
    return "## Classes of personal data\n\n" + _table(("class", "what it is"), classes.items())


def _entries(shown: Mapping[str, str], entries: Iterable[Mapping[str, Any]]) -> str:
    """Return a table of entries; `shown` maps a key of an entry to the head of its column."""
    return _table(list(shown.values()), [[entry[key] for key in shown] for entry in entries])


_FIELD = {"name": "field", "meaning": "meaning", "type": "type", "unit": "unit", "personal": "personal data"}
_COLUMN = {**_FIELD, "name": "column"}
_TOPIC = {
    "name": "topic",
    "meaning": "what it holds",
    "key": "key",
    "written_by": "written by",
    "read_by": "read by",
    "retention": "kept",
}
_FEATURE = {
    "name": "feature",
    "meaning": "meaning",
    "unit": "unit",
    "low": "from",
    "high": "to",
    "why": "why",
    "owner": "owner",
    "used_by": "used by",
}
_STORED = {
    "name": "name",
    "kind": "kind",
    "meaning": "what it holds",
    "source": "source",
    "owner": "owner",
    "retention": "kept",
    "used_by": "used by",
}


def _topics(topics: Sequence[Mapping[str, Any]]) -> list[str]:
    told = (
        "## Topics\n\nWho writes and reads are the principals of `schemas/access.py`; who writes a topic owns it.\n\n"
    )
    parts = [f"### {topic['name']}\n\n{_entries(_FIELD, topic['fields'])}" for topic in topics if topic["fields"]]
    return [told + _entries(_TOPIC, topics), *parts]


def _features(features: Sequence[Mapping[str, Any]]) -> str:
    return (
        "## Features\n\nWorked out when a payment is decided, stored in `predictions.features` and learned as stored."
        " All are of class `behaviour`\nand kept as their predictions are. `champion` is the model that decides.\n\n"
        + _entries(_FEATURE, features)
    )


def _tables(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    parts = ["## Tables and views\n\n" + _entries(_STORED, tables)]
    for table in tables:
        source = table["source"][0] if len(table["source"]) == 1 else ""
        told = next((other["columns"] for other in tables if other["name"] == source), None)
        same = told == table["columns"]
        shown = f"The columns of `{source}`.\n" if same else _entries(_COLUMN, table["columns"])
        parts.append(f"### {table['name']}\n\n{shown}")
    return parts
