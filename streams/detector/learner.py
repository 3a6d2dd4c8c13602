"""The model as it learns: two River learners over one log of training records, each record once, in the log's order.

Both are logistic regressions over the same cells. One has steps that shrink with what a cell has seen (AdaGrad), which
ranks best when nothing changes; the other's stay up (SGD), and it finds a new kind of fraud days sooner. What decides
is their mean in log-odds. (Duchi et al., JMLR 2011; McMahan et al., KDD 2013.)

All that is learned is a function of the log up to an offset, so a snapshot can be made again from the log, coefficient
for coefficient.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import river
from river import linear_model, optim
from river.utils import VectorDict

from schemas.fields import Features
from schemas.learning import ModelVersion, TrainingRecord
from streams.detector.encode import ENCODER, Encoder
from streams.detector.scorer import digest_of

ADAGRAD_STEP = 0.1
SGD_STEP = 0.03
INTERCEPT_STEP = 0.01


class AdaGrad(optim.AdaGrad):  # type: ignore[misc]
    """River's AdaGrad, asking for its rate once an example and taking its step in one go: the same numbers, sooner."""

    def _step_with_vector(self, w: Any, g: Any) -> Any:
        step, squares, eps = self.learning_rate, self.g2, self.eps
        steps = {}
        for cell, slope in g.items():
            squares[cell] = square = squares[cell] + slope * slope
            steps[cell] = step / sqrt(square + eps) * slope
        w.isub_scaled(VectorDict(steps), 1.0)
        return w


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
        self._models: dict[str, Any] = {
            "adagrad": linear_model.LogisticRegression(AdaGrad(ADAGRAD_STEP), intercept_lr=INTERCEPT_STEP),
            "sgd": linear_model.LogisticRegression(optim.SGD(SGD_STEP), intercept_lr=INTERCEPT_STEP),
        }
        self.records = 0
        self.frauds = 0
        self.learned_to_ms: int | None = None
        self.parent: str | None = None

    def learn(self, record: TrainingRecord) -> None:
        """Learn one record of the log."""
        self.learn_example(record.features, is_fraud=record.verdict == "fraud", weight=record.weight)
        self.learned_to_ms = max(self.learned_to_ms or 0, record.reported_at_ms)

    def learn_example(self, features: Features, *, is_fraud: bool, weight: float = 1.0) -> None:
        """Learn one example, which stands for as many as it weighs."""
        self.learn_cells(self._encoder.encode(features), is_fraud=is_fraud, weight=weight)

    def learn_cells(self, cells: Sequence[int], *, is_fraud: bool, weight: float = 1.0) -> None:
        """Learn an example by the cells that its features fall in."""
        held = dict.fromkeys(cells, 1.0)
        for model in self._models.values():
            model.learn_one(held, int(is_fraud), weight)
        self.records += 1
        self.frauds += is_fraud

    def snapshot(self, training_offset: int) -> ModelVersion:
        """Return all of it under a version that only this content has; `training_offset` is the first not learned.

        The offset is not part of what the version names: the same records in the same order make the same model,
        wherever the markers of transactions lie between them.
        """
        model = self.unnamed_snapshot()
        version = f"m-{self.records}-{digest_of(model)[:12]}"
        named = model.model_copy(update={"version": version, "training_offset": training_offset})
        return named.model_copy(update={"digest": digest_of(named)})

    def unnamed_snapshot(self) -> ModelVersion:
        """Return all of it without version, offset and digest, for this process alone."""
        return ModelVersion(
            version="unnamed",
            parent=self.parent,
            training_offset=0,
            records=self.records,
            frauds=self.frauds,
            learned_to_ms=self.learned_to_ms,
            feature_schema=self._encoder.schema,
            libraries=libraries(),
            state={"learners": {name: _state_of(model) for name, model in self._models.items()}},
            digest="",
        )

    @classmethod
    def of(cls, model: ModelVersion, encoder: Encoder = ENCODER) -> "Learner":
        """Return the learner that made a snapshot, as it was then."""
        learner = cls(encoder)
        learner.records, learner.frauds = model.records, model.frauds
        learner.learned_to_ms, learner.parent = model.learned_to_ms, model.parent
        for name, state in model.state["learners"].items():
            _restore(learner._models[name], state)
        return learner


def libraries() -> dict[str, str]:
    """Return the versions of the packages whose arithmetic a model depends on."""
    return {"river": river.__version__}


def _state_of(model: Any) -> dict[str, Any]:
    optimizer = model.optimizer
    state = {
        "intercept": model.intercept,
        "iterations": optimizer.n_iterations,
        # In the order in which cells were first met: sums of floats depend on it.
        "weights": {str(cell): weight for cell, weight in model.weights.items()},
    }
    if isinstance(optimizer, optim.AdaGrad):
        state["squares"] = {str(cell): square for cell, square in optimizer.g2.items()}
    return state


def _restore(model: Any, state: dict[str, Any]) -> None:
    model.intercept = state["intercept"]
    model.optimizer.n_iterations = state["iterations"]
    model._weights = VectorDict({int(cell): weight for cell, weight in state["weights"].items()})  # noqa: SLF001
    if isinstance(model.optimizer, optim.AdaGrad):
        model.optimizer.g2.update({int(cell): square for cell, square in state["squares"].items()})
