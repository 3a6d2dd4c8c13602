"""The columns of an alert's row, each with the value it takes."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from schemas.registry import Alert

if TYPE_CHECKING:  # that module makes the rows of all tables, this one's too
    from consumers.rows import Record

ALERT: Mapping[str, Callable[[Alert, "Record"], Any]] = {
    "alert_id": lambda read, _: read.alert_id,
    "kind": lambda read, _: read.kind,
    "severity": lambda read, _: read.severity,
    "subject": lambda read, _: read.subject,
    "text": lambda read, _: read.text,
    "raised_at": lambda read, _: read.at_ms,
    "state": lambda read, _: read.state or "",
    "fired_at": lambda read, _: read.fired_at_ms,
    "value": lambda read, _: read.value,
    "bound": lambda read, _: read.bound,
    "cause": lambda read, _: read.cause or "",
    "action": lambda read, _: read.action or "",
    "runbook": lambda read, _: read.runbook or "",
    "record_partition": lambda _, record: record.partition,
    "record_offset": lambda _, record: record.offset,
}
