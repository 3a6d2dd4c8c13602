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


def _topics(topics: Sequence[Mapping[str, Any]]) -> list[str]:
    head = ("topic", "what it holds", "key", "written by", "read by", "kept")
    names = ("name", "meaning", "key", "written_by", "read_by", "retention")
    parts = [
        "## Topics\n\nWho writes and reads are the principals of `schemas/access.py`; who writes a topic owns it.\n\n"
        + _table(head, [[topic[name] for name in names] for topic in topics])
    ]
    head = ("field", "meaning", "type", "unit", "personal data")
    names = ("name", "meaning", "type", "unit", "personal")
    parts += [
        f"### {topic['name']}\n\n" + _table(head, [[field[name] for name in names] for field in topic["fields"]])
        for topic in topics
        if topic["fields"]
    ]
    return parts


def _features(features: Sequence[Mapping[str, Any]]) -> str:
    head = ("feature", "meaning", "unit", "from", "to", "why", "owner", "used by")
    names = ("name", "meaning", "unit", "low", "high", "why", "owner", "used_by")
    return (
        "## Features\n\nWorked out when a payment is decided, stored in `predictions.features` and learned as stored."
        " All are of class `behaviour`\nand kept as their predictions are. `champion` is the model that decides.\n\n"
        + _table(head, [[feature[name] for name in names] for feature in features])
    )


def _tables(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    head = ("name", "kind", "what it holds", "source", "owner", "kept", "used by")
    names = ("name", "kind", "meaning", "source", "owner", "retention", "used_by")
    parts = ["## Tables and views\n\n" + _table(head, [[table[name] for name in names] for table in tables])]
    head = ("column", "meaning", "type", "unit", "personal data")
    names = ("name", "meaning", "type", "unit", "personal")
    for table in tables:
        source = table["source"][0] if len(table["source"]) == 1 else ""
        told = next((other["columns"] for other in tables if other["name"] == source), None)
        shown = (
            f"The columns of `{source}`.\n"
            if told == table["columns"]
            else _table(head, [[column[name] for name in names] for column in table["columns"]])
        )
        parts.append(f"### {table['name']}\n\n{shown}")
    return parts
