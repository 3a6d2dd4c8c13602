"""What the store must hold: the predictions of the topics, each once and equal."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.findings import Audit, Identity


def compare_stored(found: Audit, rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Compare rows of `v_predictions` with the predictions of the topics; each must be there once and equal."""
    stored: Counter[Identity] = Counter()
    differing = 0
    for row in rows:
        identity = (row["card"], row["transaction_id"])
        stored[identity] += 1
        prediction = found.predicted.get(identity)
        differing += prediction is None or (
            {name: float(value) for name, value in prediction.features.items()},
            prediction.action,
            prediction.transaction.amount_minor,
        ) != (dict(row["features"]), row["action"], row["amount_minor"])
    return {
        "stored": len(stored),
        "stored_missing": len(found.predicted.keys() - stored.keys()),
        "stored_repeated": sum(count - 1 for count in stored.values()),
        "stored_differing": differing,
    }
