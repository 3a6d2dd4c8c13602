"""What the stages make of labels: what goes to the merchant, what waits to be learned, and what leads to nothing."""

import pytest

from schemas.codec import decode, encode
from schemas.decision import Profiled
from schemas.fields import DAY_MS
from schemas.label import EffectiveLabel, Label, VerdictChange
from schemas.topics import LABELS, LABELS_WAITING, PROFILED
from streams.detector.card import CardStage
from streams.detector.decide import InForce
from streams.detector.merchant import MerchantStage
from streams.detector.stage import Context, Event, Record, Step
from streams.detector.state import State
from streams.documents import shipped_policy, shipped_rates

NOW_MS = 1_600_000_000_000
CONTEXT = Context(InForce(shipped_policy(), shipped_rates()), "test", lambda _: 0, DAY_MS)
CARD_STAGE, MERCHANT_STAGE = CardStage(CONTEXT), MerchantStage(CONTEXT)


def _label_event(**changes: object) -> Event:
    fields = {"transaction_id": "tx-1", "card": "card_a", "merchant": "mer_b", "verdict": "fraud"}
    times = {"source": "chargeback", "occurred_at_ms": NOW_MS, "reported_at_ms": NOW_MS}
    label = Label.model_validate({**fields, **times, **changes})
    event = CARD_STAGE.read(Record(LABELS.name, 0, 0, NOW_MS, b"card_a", encode(label)))
    assert isinstance(event, Event)
    return event


def _reported(state: State, **changes: object) -> Step:
    return CARD_STAGE.step(state, _label_event(**changes), {})


@pytest.mark.parametrize("verdict", ["fraud", "legitimate"])
def test_label_that_changes_the_verdict_goes_to_the_merchant_and_waits(verdict: str) -> None:
    """Law: it goes to its merchant and waits for its payment's features, once each, as it came; its repeat nowhere."""
    state = State(CARD_STAGE.kind)
    event = _label_event(verdict=verdict)
    step = CARD_STAGE.step(state, event, {})
    assert [(output.topic, output.key, output.partition) for output in step.outputs] == [
        (PROFILED, b"mer_b", None),
        (LABELS_WAITING, b"card_a", 0),
    ]
    assert decode(Label, step.outputs[1].value) == event.message
    assert step.outputs[1].headers == ()
    assert step.counts == ("labels",)
    repeated = CARD_STAGE.step(state, event, {})
    assert (repeated.outputs, repeated.counts) == ((), ("duplicate_labels",))


@pytest.mark.parametrize(
    "later",
    [
        {"revision": 1},
        {"source": "analyst"},
        {"source": "analyst", "verdict": "legitimate"},
        {"source": "customer", "verdict": "service_dispute"},
    ],
)
def test_label_that_changes_no_verdict_goes_to_the_merchant_alone(later: dict[str, object]) -> None:
    """Law: one that agrees, or that a higher source outranks, is told and counted, and not learned again."""
    state = State(CARD_STAGE.kind)
    _reported(state)
    step = _reported(state, **later)
    assert [output.topic for output in step.outputs] == [PROFILED]
    assert step.counts == ("labels", "labels_without_effect")
    profiled = decode(Profiled, step.outputs[0].value)
    assert isinstance(profiled, Profiled)
    assert (profiled.label, profiled.change) == (_label_event(**later).message, None)


def test_service_dispute_teaches_nothing_and_clears_nothing() -> None:
    """Law: alone it leads to nothing that is learned; beside silence it takes back that the payment was honest."""
    state = State(CARD_STAGE.kind)
    assert [output.topic for output in _reported(state, verdict="service_dispute").outputs] == [PROFILED]
    quiet = _reported(state, source="assumed_legitimate", verdict="legitimate")
    assert quiet.counts == ("labels", "labels_without_effect")
    other = State(CARD_STAGE.kind)
    _reported(other, source="assumed_legitimate", verdict="legitimate")
    step = _reported(other, verdict="service_dispute")
    assert [output.topic for output in step.outputs] == [PROFILED]
    profiled = decode(Profiled, step.outputs[0].value)
    assert isinstance(profiled, Profiled)
    assert profiled.change == VerdictChange(before="legitimate", before_since_ms=NOW_MS)


def test_what_was_withdrawn_gives_way_to_the_next_source() -> None:
    """Law: the verdict of the next source is learned under the name of the label that withdrew, once."""
    state = State(CARD_STAGE.kind)
    _reported(state, source="analyst", verdict="legitimate")
    _reported(state)
    step = _reported(state, verdict="withdrawn", revision=1)
    waiting = decode(EffectiveLabel, step.outputs[1].value)
    assert isinstance(waiting, EffectiveLabel)
    assert (waiting.verdict, waiting.verdict_source) == ("legitimate", "analyst")
    assert (waiting.source, waiting.revision) == ("chargeback", 1)
    last = _reported(state, source="analyst", verdict="withdrawn", revision=1)
    assert [output.topic for output in last.outputs] == [PROFILED]


def test_merchant_follows_the_change_and_nothing_else() -> None:
    """Law: a label without a change is counted at the merchant, and changes nothing that is remembered."""
    state = State(MERCHANT_STAGE.kind)
    label = _label_event().message
    assert isinstance(label, Label)
    for offset, change in enumerate((None, VerdictChange(verdict="fraud"), None)):
        value = encode(Profiled(label=label, change=change, positions={}))
        event = MERCHANT_STAGE.read(Record(PROFILED.name, 0, offset, NOW_MS, b"mer_b", value))
        assert isinstance(event, Event)
        step = MERCHANT_STAGE.step(state, event, {})
        assert step == Step((), ("labels", *("labels_without_effect",) * (change is None)))
        assert bool(state.take_changed_pieces()) == (change is not None)
