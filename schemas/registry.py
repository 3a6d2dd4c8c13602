"""What the registry, who governs it and the monitors write: commands, which model is in force, answers, alerts."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.fields import Identifier, Message, Text, TimeMs

RegistryMode = Literal["follow", "pinned"]
Severity = Literal["warning", "critical"]
Cause = Literal[
    "broken_pipeline",
    "broken_field",
    "input_mix",
    "input_feature",
    "fraud_pattern",
    "own_policy",
    "labels",
    "model",
    "unknown",
]
"""What most likely led to an alert of a monitor: `consumers/monitors/causes.py` says from which facts it is read."""
HISTORY_MAX = 32
"""Champions before this one that an alias remembers: as far as a rollback can go back without naming a version."""
SEEN_MAX = 256
"""Commands that an alias remembers, to know a repeated one. One that is older than all of them is refused."""


class Control(Message):
    """A command from a person, or from who retrains unattended, signed by the record's headers.

    With the topic of these the audit log begins.
    """

    control_id: Identifier
    author: Identifier
    kind: Literal[
        "promote",
        "roll_back",
        "follow",
        "rebuild",
        "gate",
        "publish_policy",
        "list_entity",
        "replay_dead_letter",
        "stop",
    ]
    arguments: dict[str, str] = Field(default_factory=dict)
    issued_at_ms: TimeMs = Field(description="When it was given.")


class Alias(Message):
    """Which model a name stands for, and how far the commands were carried out: the registry's whole state."""

    name: Identifier = Field(description="Such as champion.")
    version: Identifier | None = Field(default=None, description="Snapshot in force; none where none was cut yet.")
    newest: Identifier | None = Field(default=None, description="Last snapshot that was cut, in force or not.")
    model_offset: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Offset of its record in fraud.models.v1, where a command named it."
    )
    mode: RegistryMode = Field(description="follow: each new snapshot comes in force; pinned: this one stays.")
    sequence: Annotated[int, Field(ge=0)] = Field(description="Grows with each record: a smaller one is a repeat.")
    changed_by: Identifier | None = Field(default=None, description="Command that led to this record, if one did.")
    history: tuple[Identifier, ...] = Field(default=(), max_length=HISTORY_MAX, description="Before it, oldest first.")
    controls_next: Annotated[int, Field(ge=0)] = Field(description="First offset of commands not carried out yet.")
    seen: dict[Identifier, TimeMs] = Field(
        default_factory=dict, max_length=SEEN_MAX, description="Command -> when it was issued, for the newest."
    )


class Audit(Message):
    """The answer to one command: what became of it."""

    control_id: Identifier = Field(description="The command; where it cannot be believed, `offset-` and its place.")
    control_offset: Annotated[int, Field(ge=0)] = Field(description="Its place in fraud.controls.v1.")
    author: Identifier | None = Field(default=None, description="Whose key signed it.")
    key_id: str | None = None
    kind: str | None = None
    arguments: dict[str, str] = Field(default_factory=dict)
    outcome: Literal["done", "refused"]
    reason: Identifier | None = Field(default=None, description="Stable code of a refusal.")
    text: Text
    version: Identifier | None = Field(default=None, description="Model in force after it.")
    mode: RegistryMode
    sequence: Annotated[int, Field(ge=0)] = Field(description="Of the alias record that was written with it.")
    at_ms: TimeMs = Field(description="When the command was written, by its record's timestamp.")


class Alert(Message):
    """Something that a person should look at. The same thing seen by several processes has one id.

    An alert of a monitor is one of two records: when it began to fire, and when it was over. Those of others, which
    tell of one record or one model, have no state.
    """

    alert_id: Identifier = Field(
        description="Hash of kind and subject; of a monitor's: of kind, the time when it fired, and state."
    )
    kind: Identifier = Field(description="Stable code; of a monitor's the name of its rule.")
    severity: Severity
    subject: Identifier = Field(
        description="What it is about: a record as topic:partition:offset, a model, a feature, a source of labels."
    )
    text: Text
    at_ms: TimeMs = Field(description="When it happened.")
    state: Literal["firing", "cleared"] | None = Field(default=None, description="Of a monitor's.")
    fired_at_ms: TimeMs | None = Field(default=None, description="When it began to fire: the same in both records.")
    value: float | None = Field(default=None, description="What was measured.")
    bound: float | None = Field(default=None, description="What it was measured against.")
    cause: Cause | None = Field(default=None, description="What most likely lies behind it.")
    action: Literal["retrain"] | None = Field(default=None, description="What is to be started, where anything is.")
    runbook: str | None = Field(default=None, max_length=200, description="Where it says what to do.")
