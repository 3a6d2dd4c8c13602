"""The learning stage: training records in, snapshots of the model out."""

from schemas.codec import DecodeFailure, decode
from schemas.learning import TrainingRecord
from schemas.topics import MODELS, TRAINING
from streams.detector.stage import Event, Record, Refusal, Stage, refusal_of


class LearningStage(Stage):
    """Training records in the order of their log; `streams.learning` folds them."""

    name = "learning"
    inputs = (TRAINING,)
    state_log = MODELS

    def read(self, record: Record) -> Event | Refusal:
        message = decode(TrainingRecord, record.value)
        if isinstance(message, DecodeFailure):
            return refusal_of(record, message)
        return Event(record, message, message.reported_at_ms)
