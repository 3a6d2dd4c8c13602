"""The audit of what was learned notices each way in which it can be wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from schemas.codec import encode
from schemas.fields import Features
from schemas.label import EffectiveLabel
from schemas.learning import ModelVersion, TrainingRecord
from schemas.sampling import weight_of
from streams.detector.scorer import digest_of
from tests.learned import ZEROES, LearningAudit, Logged, compare_records, compare_snapshots, snapshots_of

NOW_MS = 1_600_000_000_000
KEPT_ONE_IN = 3


def _label(number: int, **changes: Any) -> EffectiveLabel:
    fields: dict[str, Any] = {
        "transaction_id": f"tx-{number}",
        "card": "card_a",
        "merchant": "mer_b",
        "verdict": "fraud" if number % 3 == 0 else "legitimate",
        "source": "chargeback" if number % 2 else "assumed_legitimate",
        "occurred_at_ms": NOW_MS,
        "reported_at_ms": NOW_MS + number,
    }
    return EffectiveLabel.model_validate(fields | changes)


def _record(label: EffectiveLabel, weight: float, **changes: Any) -> bytes:
    fields: dict[str, Any] = label.model_dump(
        include={
            "transaction_id",
            "card",
            "merchant",
            "revision",
            "verdict",
            "source",
            "occurred_at_ms",
            "reported_at_ms",
        }
    )
    number = int(label.transaction_id.removeprefix("tx-"))
    fields |= {"weight": weight, "features": {"card_count_1h": float(number)}, "positions": {}}
    return encode(TrainingRecord.model_validate(fields | changes))


class _World:
    """Labels, predictions, the training log and the models, as they should be."""

    def __init__(self) -> None:
        self.labels = [_label(number) for number in range(60)]
        self.predicted: dict[tuple[str, str], Features] = {
            ("card_a", f"tx-{number}"): {"card_count_1h": number} for number in range(60)
        }
        kept = [(label, weight_of(label, KEPT_ONE_IN)) for label in self.labels]
        self.training: list[Logged] = [
            (offset, _record(label, weight)) for offset, (label, weight) in enumerate(kept) if weight is not None
        ]
        self.models = [encode(model) for model in snapshots_of(self.training, 10)]

    def audit(self) -> LearningAudit:
        found = LearningAudit()
        compare_records(found, self.labels, self.predicted, self.training, KEPT_ONE_IN)
        compare_snapshots(found, self.training, self.models, 10)
        return found


def _learn_twice(world: _World) -> None:
    offset, value = world.training[-1]
    world.training.append((offset + 1, value))


def _lose_one(world: _World) -> None:
    del world.training[-1]


def _learn_of_nothing(world: _World) -> None:
    world.predicted["card_a", "tx-99"] = {"card_count_1h": 99}
    world.training.append((1_000, _record(_label(99), 1.0)))


def _learn_another_revision(world: _World) -> None:
    world.labels[1] = world.labels[1].model_copy(update={"revision": 4})


def _learn_of_another_source(world: _World) -> None:
    world.labels[1] = world.labels[1].model_copy(update={"source": "analyst"})


def _change_verdict(world: _World) -> None:
    world.labels[1] = world.labels[1].model_copy(update={"verdict": "fraud"})


def _change_weight(world: _World) -> None:
    world.training[-1] = (world.training[-1][0], _record(world.labels[59], 2.0))


def _change_features(world: _World) -> None:
    world.predicted["card_a", "tx-59"] = {"card_count_1h": 59.5}


def _repeat_snapshot(world: _World) -> None:
    world.models.append(world.models[0])


def _lose_snapshot(world: _World) -> None:
    del world.models[1]


def _nudge_a_coefficient(world: _World) -> None:
    model = ModelVersion.model_validate_json(world.models[-1])
    state = model.model_dump()["state"]
    weights = state["cells"]["weights"]
    cell = next(iter(weights))
    weights[cell] += 1e-12
    nudged = model.model_copy(update={"state": state})
    world.models[-1] = encode(nudged.model_copy(update={"digest": digest_of(nudged)}))


WRONGS: dict[str, tuple[Callable[[_World], None], set[str]]] = {
    "nothing": (lambda _: None, set()),
    "twice": (_learn_twice, {"learned_twice"}),
    "lost": (_lose_one, {"never_learned"}),
    "of nothing": (_learn_of_nothing, {"learned_of_nothing"}),
    "another revision": (_learn_another_revision, {"learned_of_nothing", "never_learned"}),
    "another source": (_learn_of_another_source, {"learned_of_nothing", "never_learned"}),
    "another verdict": (_change_verdict, {"labels_differing"}),
    "another weight": (_change_weight, {"labels_differing"}),
    "other features": (_change_features, {"features_differing"}),
    "a snapshot twice": (_repeat_snapshot, {"snapshots_repeated"}),
    "a snapshot lost": (_lose_snapshot, {"snapshots_missing"}),
    "a coefficient": (_nudge_a_coefficient, {"snapshots_differing"}),
}


@pytest.mark.parametrize("name", WRONGS)
def test_audit_notices(name: str) -> None:
    """Law: each wrong is counted under its own figure, with an example; without any, all of them are nought."""
    spoil, figures = WRONGS[name]
    world = _World()
    spoil(world)
    found = world.audit()
    wrong = {figure for figure in ZEROES if getattr(found, figure)}
    assert figures <= wrong <= figures | {"snapshots_differing", "snapshots_missing"}
    assert bool(wrong) == bool(figures)
    assert found.holds == (not wrong) == (not found.examples)


def test_label_whose_payment_was_never_decided_need_not_be_learned() -> None:
    """Law: without a prediction there is nothing to learn from, and nothing is missed."""
    world = _World()
    world.labels.append(_label(501))
    assert world.audit().holds
