"""The catalogue out of the contracts: topics, features, tables and views, each with all that is told of it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from consumers.migrations_to_clickhouse import shipped_migrations
from consumers.rows import SINKS
from consumers.warehouse import Warehouse
from deploy.catalogue.classes import CLASSES, class_of, unit_of
from deploy.catalogue.declared import declared
from schemas.access import TABLE
from schemas.features import meaning_of
from schemas.fields import DAY_MS, HOUR_MS, Message
from schemas.learning import PolicyVersion
from schemas.topics import FOREVER_MS, TOPICS, Topic
from streams.detector.encode import INPUTS
from streams.detector.features import ROWS

Entry = dict[str, Any]
Described = Mapping[str, Sequence[Any]]
Comments = Mapping[str, Mapping[str, str]]
"""Table -> column -> comment."""

WITHOUT_MESSAGE: Mapping[str, str] = {
    "fraud.dead-letters.v1": "A record that could not be processed, as it came, with the reason in its headers.",
    "fraud.card-state.v1": "What the card stage remembers, and how far it has read; private to it.",
    "fraud.merchant-state.v1": "What the merchant stage remembers, and how far it has read; private to it.",
}
"""Topics whose values are none of our messages."""

NAMED_BY_A_VIEW = {"champion_probability": "Probability of fraud that the champion gave, which decided"}
"""Columns that a view takes from a table under a name of its own: the engine keeps no comment for them."""

STAGE_OF = {"payment": "card", "card": "card", "merchant": "merchant"}
TABLES = """
SELECT name, engine, comment, as_select FROM system.tables
WHERE database = currentDatabase() AND name != 'schema_migrations' ORDER BY startsWith(name, 'v_'), name
"""
COLUMNS = """
SELECT table, name, type, comment FROM system.columns
WHERE database = currentDatabase() AND table != 'schema_migrations' AND default_kind != 'MATERIALIZED'
ORDER BY table, position
"""


def catalogue(warehouse: Warehouse, policy: PolicyVersion) -> Entry:
    """Return the whole catalogue; the store is one with all migrations applied, empty or not."""
    described = _described(warehouse)
    comments: dict[str, dict[str, str]] = {}
    for table, name, comment in zip(described["table"], described["name"], described["comment"], strict=True):
        comments.setdefault(table, {})[name] = comment
    return {
        "classes": dict(CLASSES),
        "topics": [_topic(topic, comments) for topic in TOPICS],
        "features": _features(policy),
        "tables": _tables(warehouse, described, comments),
    }


def _described(warehouse: Warehouse) -> dict[str, list[Any]]:
    """Return table, name, type and comment of every column."""
    described = {name: [*values] for name, values in warehouse.query_columns(COLUMNS).items()}
    known = set(described["table"])
    for column in declared([migration.sql for migration in shipped_migrations()]):
        if column.table not in known:
            for name, value in column._asdict().items():
                described[name].append(value)
    return described


def _retention(topic: Topic) -> str:
    if topic.retention_ms == FOREVER_MS:
        return "the newest record of each key, for ever" if topic.cleanup == "compact" else "for ever"
    days, hours = topic.retention_ms // DAY_MS, topic.retention_ms // HOUR_MS
    return f"{days} days" if days else f"{hours} hour, the newest record of each key longer"


def _who(topic: Topic, operation: str) -> list[str]:
    found = [row.principal for row in TABLE if topic in row.names and operation in row.operations]
    return list(dict.fromkeys(found))


def _topic(topic: Topic, comments: Comments) -> Entry:
    message = topic.message
    meaning = WITHOUT_MESSAGE[topic.name] if message is None else _first_line(message)
    return {
        "name": topic.name,
        "meaning": meaning,
        "key": topic.key,
        "message": message.__name__ if message else None,
        "written_by": _who(topic, "write"),
        "read_by": _who(topic, "read"),
        "retention": _retention(topic),
        "fields": [] if message is None else _fields(message, _table_of(topic), comments),
    }


def _first_line(message: type[Message]) -> str:
    return (message.__doc__ or "").strip().split("\n")[0]


def _table_of(topic: Topic) -> str:
    return next((sink.table for sink in SINKS if sink.topic == topic), "")


def _fields(message: type[Message], table: str, comments: Comments) -> list[Entry]:
    schema = message.model_json_schema()
    of_payments = bool({"card", "transaction"} & message.model_fields.keys())
    general = {"UTC, ms since 1970; 2000 to 2099.", "Minor units of the currency (cents, yen, fils)."}
    found = []
    for name, field in message.model_fields.items():
        part = _part(field.annotation)
        told = "" if field.description in general else field.description or ""
        found.append({
            "name": name,
            "type": _type(schema["properties"][name]),
            "required": field.is_required(),
            "meaning": told or comment_of(name, table, comments).removesuffix(", empty where not given"),
            "unit": unit_of(name),
            "personal": class_of(name, of_payments=of_payments),
        })  # fmt: skip
        found += [{**each, "name": f"{name}.{each['name']}"} for each in (_fields(part, "", {}) if part else [])]
    return found


def _part(annotation: Any) -> type[Message] | None:
    """Return the message within a type that no topic carries by itself."""
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return None if annotation in {topic.message for topic in TOPICS} else annotation
    return next((part for each in get_args(annotation) if (part := _part(each))), None)


def _type(described: Mapping[str, Any]) -> str:
    if "$ref" in described:
        return str(described["$ref"]).rsplit("/", maxsplit=1)[-1]
    if "anyOf" in described:
        return " or ".join(sorted(_type(each) for each in described["anyOf"] if each.get("type") != "null"))
    if "enum" in described:
        return "one of " + ", ".join(map(str, described["enum"]))
    if described.get("type") == "array":
        return f"list of {_type(described['items'])}" if "items" in described else "list"
    if isinstance(described.get("additionalProperties"), Mapping):
        return f"map to {_type(described['additionalProperties'])}"
    return str(described.get("const") or described.get("type", "object"))


def comment_of(name: str, table: str, comments: Comments) -> str:
    """Return what the table says of a column, or another that has one of that name; times are named without `_ms`.

    >>> comment_of("reported_at_ms", "b", {"a": {"card": "Token"}, "b": {"reported_at": "When this became known"}})
    'When this became known'
    >>> comment_of("card", "b", {"a": {"card": "Token"}, "b": {"card": ""}}), comment_of("age", "b", {})
    ('Token', '')
    """
    if name in NAMED_BY_A_VIEW:
        return NAMED_BY_A_VIEW[name]
    tables = [table, *(each for each in comments if each != table)]
    names = (name, name.removesuffix("_ms"))
    return next((told for each in tables for of in names if (told := comments.get(each, {}).get(of))), "")


def _features(policy: PolicyVersion) -> list[Entry]:
    taken = {each.feature for each in INPUTS}
    ruled: dict[str, list[str]] = {}
    for rule in policy.rules:
        ruled.setdefault(rule.feature, []).append(f"rule {rule.name}")
    return [
        {
            "name": (name := f"{of}_{row.name}"),
            "meaning": meaning_of(name) or "",
            "unit": row.unit,
            "low": row.low,
            "high": row.high,
            "why": row.why,
            "source": f"{STAGE_OF[of]} stage, when the payment was decided; fraud.predictions.v1, predictions.features",
            "owner": f"worker, {STAGE_OF[of]} stage",
            "personal": "behaviour",
            "retention": "as fraud.predictions.v1",
            "used_by": [*(["champion"] if name in taken else []), *ruled.get(name, [])],
        }
        for of, rows in ROWS.items()
        for row in rows
    ]


def _tables(warehouse: Warehouse, described: Described, comments: Comments) -> list[Entry]:
    listed = warehouse.query_columns(TABLES)
    known = set(listed["name"])
    topics = {sink.table: sink.topic.name for sink in SINKS}
    reads = {
        name: sorted(set(re.findall(r"(?:FROM|JOIN)\s+(?:\w+\.)?`?(\w+)", sql or "")) & known)
        for name, sql in zip(listed["name"], listed["as_select"], strict=True)
    }
    found = []
    for name, engine, comment in zip(listed["name"], listed["engine"], listed["comment"], strict=True):
        is_view = engine == "View"
        found.append({
            "name": name,
            "kind": "view" if is_view else "table",
            "meaning": comment,
            "source": reads[name] if is_view else [topics[name]] if name in topics else ["store"],
            "owner": "store",
            "retention": "as its tables" if is_view else "for ever, until somebody drops partitions",
            "used_by": [other for other in listed["name"] if name in reads[other]],
            "columns": _columns(name, reads[name], described, comments),
        })  # fmt: skip
    return found


def _columns(table: str, read: Sequence[str], described: Described, comments: Comments) -> list[Entry]:
    nearest = {each: comments[each] for each in (table, *read)} | dict(comments)
    of_payments = "card" in comments[table]
    rows = zip(described["table"], described["name"], described["type"], strict=True)
    return [
        {
            "name": name,
            "type": kind,
            "meaning": comment_of(name, table, nearest),
            "unit": unit_of(name, kind),
            "personal": class_of(name, of_payments=of_payments),
        }
        for of, name, kind in rows
        if of == table
    ]
