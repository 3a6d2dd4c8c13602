"""Was every transaction answered once, and stored once? Read back from the topics and the store."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from deploy.read_back import each_record
from deploy.system import System
from schemas.codec import DecodeFailure, decode
from schemas.decision import Decision
from schemas.history import is_history
from schemas.topics import DECISIONS, MODELS, TRAINING, TRANSACTIONS
from schemas.transaction import Transaction


class Decided(NamedTuple):
    """One answer: when the payment was attempted, what was done, and how likely fraud was, if a model said."""

    event_time_ms: int
    action: str
    mode: str
    probability: float | None


@dataclass
class Answers:
    """What was found. A transaction is one (card, id), however often a gateway sent it; what is history is none.

    A decision in mode `fallback` is an answer until there is another: a dead letter may be replayed.
    """

    transactions: int = 0
    decisions: int = 0
    decisions_repeated: int = 0
    decisions_missing: int = 0
    predictions_stored: int = 0
    predictions_missing: int = 0
    decisions_stored: int = 0
    labels_learned: int = 0
    model_versions: int = 0
    actions: dict[str, int] = field(default_factory=dict)
    decided: dict[tuple[str | None, str], Decided] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing, repeated or not stored."""
        return not (
            self.decisions_missing
            or self.decisions_repeated
            or self.predictions_missing
            or sum(self.actions.values()) != self.decisions_stored
        )


def audit_answers(system: System) -> Answers:
    """Read everything back. No store may be running."""
    settings, prefix = system.settings, system.settings.topic_prefix
    decided: dict[tuple[str | None, str], Decided] = {}
    repeated = 0
    invalid: set[str] = set()
    actions: Counter[str] = Counter()
    for message in each_record(settings, prefix + DECISIONS.name):
        decision = decode(Decision, message.value())
        assert not isinstance(decision, DecodeFailure), decision
        actions[decision.action] += 1
        if decision.action == "invalid":
            invalid.add(decision.transaction_id)
        else:
            identity = (decision.card, decision.transaction_id)
            held = decided.get(identity)
            if held and "fallback" in (held.mode, decision.mode):
                actions[held.action if held.mode == "fallback" else decision.action] -= 1
            else:
                repeated += held is not None
            if held is None or held.mode == "fallback":
                decided[identity] = Decided(
                    decision.event_time_ms or 0, decision.action, decision.mode, decision.probability
                )
    # Of a million payments the names are held once: what is answered is told by the answers.
    missing: set[tuple[str, str]] = set()
    unasked = set(decided)
    for message in each_record(settings, prefix + TRANSACTIONS.name):
        transaction = decode(Transaction, message.value())
        # What is refused for its key or its time is answered as invalid, and counted with the dead letters.
        if isinstance(transaction, DecodeFailure) or is_history(message.headers() or ()):
            continue
        sent = (transaction.card, transaction.transaction_id)
        unasked.discard(sent)
        if sent not in decided and sent[1] not in invalid:
            missing.add(sent)
    missing -= _in_history(system, missing)
    unpredicted = sum(each.mode == "fallback" for each in decided.values())  # where the core failed
    stored = _stored(system)
    return Answers(
        transactions=len(decided) - len(unasked) + len(missing),
        decisions=len(decided),
        decisions_repeated=repeated,
        decisions_missing=len(missing),
        predictions_stored=stored["predictions"],
        predictions_missing=len(decided) - unpredicted - stored["predictions"],
        decisions_stored=stored["decisions"],
        labels_learned=sum(1 for _ in each_record(settings, prefix + TRAINING.name)),
        model_versions=len({message.key() for message in each_record(settings, prefix + MODELS.name)}),
        actions={action: number for action, number in sorted(actions.items()) if number},
        decided=decided,
    )


def _in_history(system: System, missing: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return which of these payments were sent as history as well: whichever came second is a duplicate."""
    topic, found = system.settings.topic_prefix + TRANSACTIONS.name, set[tuple[str, str]]()
    for message in each_record(system.settings, topic) if missing else ():
        transaction = decode(Transaction, message.value()) if is_history(message.headers() or ()) else None
        if isinstance(transaction, Transaction):
            found.add((transaction.card, transaction.transaction_id))
    return found & missing


def _stored(system: System) -> dict[str, Any]:
    return {
        "predictions": system.query("SELECT count() AS rows FROM v_predictions WHERE mode != 'history'")[0]["rows"],
        "decisions": system.query("SELECT count() AS rows FROM v_decisions")[0]["rows"],
    }
