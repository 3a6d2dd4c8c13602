"""Who may do what on Kafka. A principal is one kind of process; what is not in the table is refused by the broker.

Each row follows from what the process does: the topics that it reads and writes, the groups it joins or only names, the
transactional ids it writes under. Our own processes also look at the configuration of their topics when they start.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from schemas.topics import (
    ALERTS,
    ALIASES,
    AUDIT,
    CARD_STATE,
    CONTROLS,
    DEAD_LETTERS,
    DEAD_LETTERS_REPLAYED,
    DECISIONS,
    DUPLICATES,
    LABELS,
    LABELS_WAITING,
    MERCHANT_STATE,
    MODELS,
    OUTCOMES,
    POLICIES,
    PREDICTIONS,
    PROFILED,
    PROGRESS,
    RATES,
    SHADOW_SCORES,
    TOPICS,
    TRAINING,
    TRANSACTIONS,
    Topic,
)

Kind = Literal["topic", "group", "transactional_id"]
Operation = Literal["read", "write", "create", "describe", "describe_configs"]


class Row(NamedTuple):
    """One principal's operations on resources of one kind.

    `names` are topics, or patterns of groups and transactional ids: `{application}` and `{prefix}` stand for the
    settings of the deployment, and a star at the end for any rest.
    """

    principal: str
    kind: Kind
    names: tuple[Topic, ...] | tuple[str, ...]
    operations: tuple[Operation, ...]


class Binding(NamedTuple):
    """What a broker holds: one operation on one resource, or on all whose names begin so (`prefixed`)."""

    principal: str
    kind: str
    name: str
    pattern: str
    operation: str
    permission: str = "allow"
    host: str = "*"


PARTS = ("{prefix}{application}", "{prefix}{application}-learning", "{application}-sink", "{application}-label-join")
"""The groups that tell how far the parts have come: workers, learner, sink and label join."""

TABLE: tuple[Row, ...] = (
    # A payment gateway, and whoever reports what became of payments: not ours, so they look at no configuration.
    Row("gateway", "topic", (TRANSACTIONS,), ("write",)),
    Row("reporter", "topic", (LABELS, OUTCOMES), ("write",)),
    # The simulation, or a recording: both in one process.
    Row("source", "topic", (TRANSACTIONS, LABELS, OUTCOMES), ("write", "describe_configs")),
    # Past payments: what of them is there is read back, and the parts are asked how far they have come with it. Whether
    # only markers of transactions are left of an input is seen by reading there.
    Row("importer", "topic", (TRANSACTIONS, LABELS, OUTCOMES), ("read", "write", "describe_configs")),
    Row("importer", "topic", (PROFILED, PREDICTIONS, LABELS_WAITING, TRAINING), ("read", "describe_configs")),
    Row("importer", "topic", (DECISIONS,), ("describe", "describe_configs")),
    Row("importer", "group", ("{application}-producers", *PARTS), ("describe",)),
    # Card and merchant stage. A group that is only named, by a reader that never joins it, is described.
    Row("worker", "topic", (TRANSACTIONS, LABELS, MODELS, ALIASES, POLICIES, RATES), ("read", "describe_configs")),
    Row(
        "worker",
        "topic",
        (PREDICTIONS, DECISIONS, LABELS_WAITING, DEAD_LETTERS, DUPLICATES, ALERTS),
        ("write", "describe_configs"),
    ),
    Row("worker", "topic", (PROFILED, CARD_STATE, MERCHANT_STATE, PROGRESS), ("read", "write", "describe_configs")),
    Row("worker", "group", ("{prefix}{application}",), ("read",)),
    Row(
        "worker",
        "group",
        ("{application}-restore", "{application}-published", "{application}-progress-*"),
        ("describe",),
    ),
    Row("worker", "transactional_id", ("{application}-{prefix}card-*", "{application}-{prefix}merchant-*"), ("write",)),
    # Learning stage: its snapshots are its state.
    Row("learner", "topic", (TRAINING, CONTROLS), ("read", "describe_configs")),
    Row("learner", "topic", (MODELS, ALIASES), ("read", "write", "describe_configs")),
    Row("learner", "topic", (DEAD_LETTERS, AUDIT, ALERTS), ("write", "describe_configs")),
    Row("learner", "group", ("{prefix}{application}-learning",), ("read",)),
    Row("learner", "group", ("{application}-restore",), ("describe",)),
    Row("learner", "transactional_id", ("{application}-{prefix}learning-*",), ("write",)),
    # Challengers: they see what was decided and what is learned, and decide nothing. Their snapshots wait.
    Row("shadow", "topic", (PREDICTIONS, TRAINING), ("read", "describe_configs")),
    Row("shadow", "topic", (SHADOW_SCORES, MODELS), ("write", "describe_configs")),
    Row("shadow", "group", ("{application}-shadow",), ("read",)),
    # Sink, label join, labels of silence, monitors and page.
    Row(
        "store",
        "topic",
        (PREDICTIONS, DECISIONS, OUTCOMES, MODELS, AUDIT, SHADOW_SCORES),
        ("read", "describe_configs"),
    ),
    Row(
        "store",
        "topic",
        (LABELS, LABELS_WAITING, TRAINING, DEAD_LETTERS, ALERTS),
        ("read", "write", "describe_configs"),
    ),
    Row("store", "group", ("{application}-sink", "{application}-label-join", "{application}-webhook"), ("read",)),
    Row("store", "group", ("{application}-scan",), ("describe",)),
    Row(
        "store",
        "transactional_id",
        ("{application}-{prefix}label-join-*", "{application}-{prefix}monitors"),
        ("write",),
    ),
    # The monitors in a process of their own, over a store on a server: what fires is read from the topic.
    Row("monitor", "topic", (ALERTS,), ("read", "write", "describe_configs")),
    Row("monitor", "group", ("{application}-webhook",), ("read",)),
    Row("monitor", "group", ("{application}-scan",), ("describe",)),
    Row("monitor", "transactional_id", ("{application}-{prefix}monitors",), ("write",)),
    # Who puts a policy or a rate table in force reads first what was published.
    Row("publisher", "topic", (POLICIES, RATES), ("read", "write", "describe_configs")),
    Row("publisher", "group", ("{application}-publish",), ("describe",)),
    # Commands which model decides: looks the model up, or what a challenger is worth, writes the command, and waits for
    # its answer.
    Row("operator", "topic", (MODELS, ALIASES, AUDIT), ("read", "describe_configs")),
    Row("operator", "topic", (PREDICTIONS, TRAINING, SHADOW_SCORES), ("read",)),
    Row("operator", "topic", (CONTROLS,), ("write", "describe_configs")),
    Row("operator", "group", ("{application}-registry",), ("describe",)),
    # Starts unattended what an operator would: reads who asks for it, what was commanded and what became of it, and
    # judges challengers as he does.
    Row(
        "retrainer",
        "topic",
        (ALERTS, AUDIT, MODELS, PREDICTIONS, TRAINING, SHADOW_SCORES),
        ("read", "describe_configs"),
    ),
    Row("retrainer", "topic", (CONTROLS,), ("read", "write", "describe_configs")),
    Row("retrainer", "group", ("{application}-retrain",), ("describe",)),
    # Writes dead letters to the topics that they came from, and to which of them that was done.
    Row("replayer", "topic", (DEAD_LETTERS,), ("read", "describe_configs")),
    Row("replayer", "topic", (DEAD_LETTERS_REPLAYED,), ("read", "write", "describe_configs")),
    Row("replayer", "topic", (TRANSACTIONS, LABELS, LABELS_WAITING, PROFILED), ("write",)),
    Row("replayer", "group", ("{application}-scan",), ("describe",)),
    Row("replayer", "transactional_id", ("{application}-{prefix}dead-letter-replay",), ("write",)),
    # A service that acts on decisions, or looks one up.
    Row("reader", "topic", (DECISIONS,), ("read",)),
    Row("reader", "group", ("{application}-reader-*",), ("read",)),
    Row("reader", "group", ("{application}-scan",), ("describe",)),
    # Creates topics; whoever gives rights is a super user of the cluster's and not in this table.
    Row("administrator", "topic", TOPICS, ("create", "describe", "describe_configs")),
    # Sees everything, how far each group is included, and changes nothing: audits, recomputes, looks at dead letters.
    Row("auditor", "topic", TOPICS, ("read", "describe_configs")),
    Row(
        "auditor",
        "group",
        (*PARTS, "{application}-audit", "{application}-recompute", "{application}-registry", "{application}-scan"),
        ("describe",),
    ),
)
PRINCIPALS: tuple[str, ...] = tuple(dict.fromkeys(row.principal for row in TABLE))


def user_of(application_id: str, principal: str) -> str:
    """Return the name under which a principal logs in.

    >>> user_of("fraud", "worker")
    'fraud-worker'
    """
    return f"{application_id}-{principal}"


def topics_of(principals: Iterable[str]) -> tuple[Topic, ...]:
    """Return the topics that these principals do anything with.

    >>> [topic.name for topic in topics_of(name for name in ("gateway", "reader"))]
    ['payments.transactions.v1', 'fraud.decisions.v1']
    """
    asked = set(principals)
    used = {name for row in TABLE if row.principal in asked for name in row.names}
    return tuple(topic for topic in TOPICS if topic in used)


def bindings(application_id: str, topic_prefix: str = "") -> tuple[Binding, ...]:
    """Return what a broker must hold for this deployment, and nothing else.

    >>> [each for each in bindings("fraud", "a.") if each.principal == "User:fraud-gateway"]
    [Binding(principal='User:fraud-gateway', kind='topic', name='a.payments.transactions.v1', pattern='literal', \
operation='write', permission='allow', host='*')]
    """
    return tuple(
        Binding(
            f"User:{user_of(application_id, row.principal)}",
            row.kind,
            *_resource(application_id, topic_prefix, name),
            operation,
        )
        for row in TABLE
        for name in row.names
        for operation in row.operations
    )


def _resource(application_id: str, topic_prefix: str, name: Topic | str) -> tuple[str, str]:
    if isinstance(name, Topic):
        return topic_prefix + name.name, "literal"
    full = name.format(application=application_id, prefix=topic_prefix)
    return (full[:-1], "prefixed") if full.endswith("*") else (full, "literal")


def covers(binding: Binding, kind: str, name: str) -> bool:
    """Return whether a binding is about a resource.

    >>> every = Binding("User:*", "topic", "*", "literal", "read")
    >>> covers(every, "topic", "fraud.models.v1"), covers(every, "group", "fraud")
    (True, False)
    >>> covers(every._replace(name="fraud.", pattern="prefixed"), "topic", "fraud.models.v1")
    True
    """
    named = binding.name in {"*", name} if binding.pattern == "literal" else name.startswith(binding.name)
    return binding.kind == kind and named


def is_ours(binding: Binding, wanted: Iterable[Binding]) -> bool:
    """Return whether a binding that a broker holds is about one of our users, or about our resources alone."""
    return any(
        binding.principal == ours.principal
        or (
            binding.kind == ours.kind
            and (binding.name == ours.name or (ours.pattern == "prefixed" and binding.name.startswith(ours.name)))
        )
        for ours in wanted
    )


def reaches_ours(binding: Binding, wanted: Iterable[Binding]) -> bool:
    """Return whether a binding is about our resources and others as well: a star, or what more names begin with."""
    return any(covers(binding, ours.kind, ours.name) for ours in wanted) and not is_ours(binding, wanted)
