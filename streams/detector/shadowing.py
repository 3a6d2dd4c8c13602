"""Challengers in the shadow: each payment that was decided is scored by all of them, each training record learned.

A challenger that fails is left out from then on, and the others go on. Pure: the clock is an argument.
"""

from collections.abc import Callable, Mapping

from schemas.decision import Prediction, ShadowScore
from schemas.learning import ModelVersion, TrainingRecord
from streams.detector.challengers import Challenger
from streams.detector.encode import ENCODER
from streams.detector.scorer import probability_of

LOG_ODDS_DECIMALS = 6
SNAPSHOTS_APART = 10
"""A challenger leaves a snapshot where the champion has cut so many: to be promoted it needs no newer one."""


class Shadow:
    """The challengers of one process.

    Parameters
    ----------
    snapshot_records : training records between two snapshots of the champion.
    now_ns : a clock that only grows.
    """

    def __init__(
        self, challengers: Mapping[str, Challenger], *, snapshot_records: int, now_ns: Callable[[], int]
    ) -> None:
        self.running = dict(challengers)
        self.failed: dict[str, str] = {}
        self.records = 0
        self.training_offset = 0
        self._cut_records = snapshot_records * SNAPSHOTS_APART
        self._now_ns = now_ns
        self._learned_ns = dict.fromkeys(challengers, 0)

    def learn(self, offset: int, record: TrainingRecord) -> list[ModelVersion]:
        """Learn the training record at an offset; return the snapshots that are due behind it."""
        cells, is_fraud = ENCODER.encode(record.features), record.verdict == "fraud"
        for name, challenger in list(self.running.items()):
            started = self._now_ns()
            try:
                challenger.learn(cells, is_fraud=is_fraud, weight=record.weight)
            except Exception as error:  # noqa: BLE001 - whoever wrote it, the others must go on
                self._leave_out(name, error)
            self._learned_ns[name] += self._now_ns() - started
        self.records += 1
        self.training_offset = offset + 1
        if self.records % self._cut_records:
            return []
        snapshots = [each.snapshot(self.training_offset) for each in self.running.values()]
        return [snapshot for snapshot in snapshots if snapshot]

    def score(self, prediction: Prediction) -> list[ShadowScore]:
        """Return what each challenger says of a payment that was decided."""
        cells, scores = ENCODER.encode(prediction.features), []
        for name, challenger in list(self.running.items()):
            started = self._now_ns()
            try:
                log_odds = challenger.log_odds(cells)
                took_ns = self._now_ns() - started
                scores.append(self._score_of(prediction, name, challenger.records, log_odds, took_ns))
                challenger.see(cells)
            except Exception as error:  # noqa: BLE001 - as above
                self._leave_out(name, error)
        return scores

    def _score_of(self, prediction: Prediction, name: str, records: int, log_odds: float, took_ns: int) -> ShadowScore:
        return ShadowScore(
            transaction_id=prediction.transaction.transaction_id,
            card=prediction.transaction.card,
            event_time_ms=prediction.transaction.event_time_ms,
            challenger=name,
            records=records,
            training_offset=self.training_offset,
            log_odds=round(log_odds, LOG_ODDS_DECIMALS),
            probability=probability_of(log_odds),
            score_us=round(took_ns / 1_000, 1),
            learn_us=round(self._learned_ns[name] / 1_000 / max(1, self.records), 1),
            champion_version=prediction.model_version,
        )

    def _leave_out(self, name: str, error: Exception) -> None:
        self.running.pop(name, None)
        self.failed[name] = f"{type(error).__name__}: {error}"
