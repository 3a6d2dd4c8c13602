"""The model as it learns: a River model over one log of training records, each record once, in the log's order.

It is a logistic regression over cells whose steps shrink, but slowly: it ranks better than one with AdaGrad's steps
when nothing changes, and finds a new kind of fraud within days of its first labels.

All that is learned is a function of the log up to an offset, so a snapshot can be made again from the log, coefficient
for coefficient.
"""

from collections.abc import Sequence

import river

from schemas.fields import Features
from schemas.learning import ModelVersion, TrainingRecord
from streams.detector.encode import ENCODER, Encoder
from streams.detector.guard import Guard, Witness
from streams.detector.regression import CellRegression, Steps
from streams.detector.scorer import Scorer, digest_of

LEARNERS: dict[str, Steps] = {"steady": Steps(0.07, power=0.3)}
"""What decides: the mean of these in log-odds."""


class Learner:
    """Everything learned so far.

    >>> learner = Learner()
    >>> for _ in range(20):
    ...     learner.learn_example({"card_count_1h": 30}, is_fraud=True)
    ...     learner.learn_example({"card_count_1h": 1}, is_fraud=False)
    >>> again = Learner.of(learner.snapshot(40))
    >>> again.snapshot(40) == learner.snapshot(40), learner.frauds
    (True, 20)
    """

    def __init__(self, encoder: Encoder = ENCODER) -> None:
        self._encoder = encoder
        self._models = {name: CellRegression(encoder.size, steps) for name, steps in LEARNERS.items()}
        self.guard = Guard()
        self.records = 0
        self.frauds = 0
        self.learned_to_ms: int | None = None
        self.parent: str | None = None

    def learn(self, record: TrainingRecord) -> None:
        """Learn one record of the log, as far as the guard lets it."""
        self.learn_told(Witness.of(record), self._encoder.encode(record.features), record.weight)
        self.learned_to_ms = max(self.learned_to_ms or 0, record.reported_at_ms)

    def learn_told(self, witness: Witness, cells: Sequence[int], weight: float) -> None:
        """Learn what somebody says of a payment with these cells, as far as the guard lets it."""
        if weight := self.guard.weigh(witness, weight, cells):
            self.learn_cells(cells, is_fraud=witness.is_fraud, weight=weight)
        else:
            self.records += 1

    def learn_example(self, features: Features, *, is_fraud: bool, weight: float = 1.0) -> None:
        """Learn one example, which stands for as many as it weighs."""
        self.learn_cells(self._encoder.encode(features), is_fraud=is_fraud, weight=weight)

    def learn_cells(self, cells: Sequence[int], *, is_fraud: bool, weight: float = 1.0) -> None:
        """Learn an example by the cells that its features fall in."""
        for model in self._models.values():
            model.learn_cells(cells, is_fraud=is_fraud, weight=weight)
        self.records += 1
        self.frauds += is_fraud

    def snapshot(self, training_offset: int) -> ModelVersion:
        """Return all of it under a version that only this content has; `training_offset` is the first not learned.

        The offset is not part of what the version names: the same records in the same order make the same model,
        wherever the markers of transactions lie between them.
        """
        model = ModelVersion(
            version="unnamed",
            parent=self.parent,
            training_offset=0,
            records=self.records,
            frauds=self.frauds,
            learned_to_ms=self.learned_to_ms,
            feature_schema=self._encoder.schema,
            libraries=libraries(),
            state={
                "learners": {name: model.state() for name, model in self._models.items()},
                "guard": self.guard.state(),
            },
            digest="",
        )
        version = f"m-{self.records}-{digest_of(model)[:12]}"
        named = model.model_copy(update={"version": version, "training_offset": training_offset})
        return named.model_copy(update={"digest": digest_of(named)})

    def scorer(self) -> Scorer:
        """Return what was learned as it would decide, without the checks of what comes from elsewhere."""
        models = self._models.values()
        parts = zip(*(model.weights for model in models), strict=True)
        return Scorer(
            "unnamed",
            self.records,
            self.frauds,
            sum(model.intercept / len(models) for model in models),
            [sum(weight / len(models) for weight in weights) for weights in parts],
        )

    @classmethod
    def of(cls, model: ModelVersion, encoder: Encoder = ENCODER) -> "Learner":
        """Return the learner that made a snapshot, as it was then."""
        learner = cls(encoder)
        learner.records, learner.frauds = model.records, model.frauds
        learner.learned_to_ms, learner.parent = model.learned_to_ms, model.parent
        for name, state in model.state["learners"].items():
            learner._models[name].restore(state)
        learner.guard.restore(model.state["guard"])
        return learner


def libraries() -> dict[str, str]:
    """Return the versions of the packages whose arithmetic a model depends on."""
    return {"river": river.__version__}
