"""The detector in one process against the stages that run on Kafka: the same features, scores and coefficients."""

from itertools import islice

from producers.world import World, cases
from schemas.codec import decode, encode
from schemas.decision import Prediction
from schemas.fields import Positions
from schemas.label import EffectiveLabel, Label
from schemas.learning import ModelNeeds, ModelVersion
from schemas.recordings.stream import Stream
from schemas.sampling import weight_of
from schemas.topics import LABELS, LABELS_WAITING, PREDICTIONS, PROFILED, TRANSACTIONS, Topic
from schemas.transaction import Transaction
from streams.detector.backtest import Backtest
from streams.detector.card import CardStage
from streams.detector.decide import InForce
from streams.detector.encode import ENCODER
from streams.detector.guard import Witness
from streams.detector.learner import Learner
from streams.detector.merchant import MerchantStage
from streams.detector.scorer import scorer_of
from streams.detector.stage import Context, EntityStage, Event, Output, Record
from streams.detector.state import State
from streams.documents import shipped_policy, shipped_rates

KEPT_ONE_IN = 3
SNAPSHOT_RECORDS = 40
WORLD = World(seed=3, start_ms=1_600_000_000_000, rate=0.02, shoppers=60, merchants=25, fraud_rate=0.1)


class _Hop:
    """One stage with its state, fed one record at a time."""

    def __init__(self, stage: EntityStage) -> None:
        self.stage = stage
        self.state = State(stage.kind)
        self.offset = 0

    def take(self, topic: Topic, key: str, value: bytes) -> tuple[Output, ...]:
        self.offset += 1
        event = self.stage.read(Record(topic.name, 0, self.offset, 2**41, key.encode(), value))
        assert isinstance(event, Event)
        positions: Positions = {each.name: (0, self.offset) for each in self.stage.inputs}
        return self.stage.step(self.state, event, positions).outputs


class _Live:
    """Both hops, the label join and the learner, in the order of one stream."""

    def __init__(self) -> None:
        policy = shipped_policy().model_copy(update={"model_needs": ModelNeeds(records=0, frauds=0)})
        self.in_force = InForce(policy, shipped_rates())
        context = Context(self.in_force, "test", lambda _: 0, 2**41)
        self._card, self._merchant = _Hop(CardStage(context)), _Hop(MerchantStage(context))
        self._predicted: dict[tuple[str, str], Prediction] = {}
        self.learner = Learner()

    def take(self, message: Transaction | Label) -> Prediction | None:
        topic = TRANSACTIONS if isinstance(message, Transaction) else LABELS
        prediction = None
        for output in self._card.take(topic, message.card, encode(message)):
            if output.topic is PROFILED:
                for answer in self._merchant.take(PROFILED, message.merchant, output.value or b""):
                    if answer.topic is PREDICTIONS:
                        told = decode(Prediction, answer.value)
                        assert isinstance(told, Prediction)
                        prediction = self._predicted[message.card, message.transaction_id] = told
            elif output.topic is LABELS_WAITING:
                label = decode(EffectiveLabel, output.value)
                assert isinstance(label, EffectiveLabel)
                self._learn(label)
        return prediction

    def _learn(self, label: EffectiveLabel) -> None:
        weight = weight_of(label, KEPT_ONE_IN)
        known = self._predicted.get((label.card, label.transaction_id))
        if weight is None or known is None:
            return
        cells = ENCODER.encode(known.features)
        said = label.transaction_id, label.card, label.merchant, label.verdict_source
        self.learner.learn_told(Witness(*said, label.verdict == "fraud"), cells, weight)
        if self.learner.records % SNAPSHOT_RECORDS == 0:
            model = decode(ModelVersion, encode(self.learner.snapshot(self.learner.records)))
            assert isinstance(model, ModelVersion)
            self.in_force.scorer = scorer_of(model)


def test_backtest_equals_the_stages() -> None:
    """Law: features, log-odds and coefficients of a backtest are those of both stages, the join and the learner."""
    backtest = Backtest(shipped_rates(), kept_one_in=KEPT_ONE_IN, snapshot_records=SNAPSHOT_RECORDS)
    live, scored = _Live(), 0
    for _, event in Stream(islice(cases(WORLD), 1_200), labels_to_the_end=True):
        if isinstance(event, Transaction):
            prediction, features = live.take(event), backtest.features(event)
            assert prediction is not None
            assert features == prediction.features
            cells, log_odds = backtest.predict(features)
            backtest.keep(event, cells)
            scorer = live.in_force.scorer
            assert log_odds == (scorer.log_odds(ENCODER.encode(features)) if scorer else 0.0)
            assert (prediction.mode == "normal") == (scorer is not None)
            scored += scorer is not None
        elif isinstance(event, Label):
            live.take(event)
            example = backtest.report(event)
            if example:
                backtest.learn(example)
    assert backtest.learner.records > 2 * SNAPSHOT_RECORDS
    assert backtest.learner.snapshot(0).state == live.learner.snapshot(0).state
    assert backtest.learner.frauds == live.learner.frauds > 0


def test_repeats_teach_nothing() -> None:
    """Law: a repeated payment is not scored, a repeated label not learned."""
    backtest = Backtest(shipped_rates(), kept_one_in=1, snapshot_records=10)
    case = next(case for case in cases(WORLD) if case.labels)
    features = backtest.features(case.transaction)
    assert features is not None
    backtest.keep(case.transaction, backtest.predict(features).cells)
    assert backtest.features(case.transaction) is None
    assert backtest.report(case.labels[0]) is not None
    assert backtest.report(case.labels[0]) is None
