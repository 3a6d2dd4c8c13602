"""The catalogue as it was shipped: every topic, field, feature, table and column, by name or by word."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

Catalogue = dict[str, Any]


@cache
def shipped_catalogue() -> Catalogue:
    """Return the catalogue. `deploy/catalogue` makes it from the contracts."""
    read: Catalogue = json.loads((files("schemas") / "catalogue.json").read_text(encoding="utf-8"))
    return read


def columns_of(table: str) -> dict[str, dict[str, str]]:
    """Return the columns of a table or view by name, each with meaning, unit and class of personal data.

    >>> columns_of("predictions")["card"]["personal"]
    'pseudonym'
    """
    found = next(each for each in shipped_catalogue()["tables"] if each["name"] == table)
    return {column["name"]: column for column in found["columns"]}


def feature_entries() -> dict[str, dict[str, Any]]:
    """Return what is told of each feature, by name.

    >>> feature_entries()["card_count_1h"]["unit"]
    'payments'
    """
    return {each["name"]: each for each in shipped_catalogue()["features"]}


def lines(word: str = "") -> Iterator[str]:
    """Yield a line for each entry whose name or meaning holds a word; all of them without one.

    >>> next(lines("card_amount_rank"))
    "card_amount_rank: Share of the card's last 50 payments that were smaller (share; behaviour)"
    """
    found = shipped_catalogue()
    for topic in found["topics"]:
        yield from _lines(word, topic, "", f"kept {topic['retention']}")
        for field in topic["fields"]:
            yield from _lines(word, field, f"{topic['name']} ", field["unit"], field["personal"])
    for feature in found["features"]:
        yield from _lines(word, feature, "", feature["unit"], feature["personal"])
    for table in found["tables"]:
        yield from _lines(word, table, "", table["kind"])
        for column in table["columns"]:
            yield from _lines(word, column, f"{table['name']}.", column["unit"], column["personal"])


def _lines(word: str, entry: dict[str, Any], before: str, *beside: str) -> Iterator[str]:
    name, meaning = before + entry["name"], entry["meaning"]
    if word.lower() in f"{name} {meaning}".lower():
        yield f"{name}: {meaning} ({'; '.join(filter(None, beside))})"
