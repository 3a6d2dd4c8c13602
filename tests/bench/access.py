"""The access table on a secure broker: every cell tried, the allowed done and the forbidden refused."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from deploy.broker import Broker
from schemas.access import PRINCIPALS
from tests.access_matrix import deployed, tried

WRONG_MAX = 0


def run(data_dir: Path) -> dict[str, Any]:
    """Return how many cells there are, how many the broker did and refused, and which it should not have."""
    with Broker(data_dir, secure=True) as broker:
        settings_of = deployed(broker)
        started = time.monotonic()
        found = tried(settings_of)
        seconds = time.monotonic() - started
    counted = Counter(each.outcome for each in found)
    wrong = [each for each in found if each.wrong]
    return {
        "principals": len(PRINCIPALS),
        "cells": len(found),
        "done": counted["done"],
        "refused": counted["refused"],
        "wrong": len(wrong),
        "seconds": round(seconds, 1),
        "examples": [f"{' '.join(each.cell)}: {each.outcome}" for each in wrong[:10]],
        "bounds": {"wrong": WRONG_MAX},
        "holds": len(wrong) <= WRONG_MAX and counted["done"] > 0 and counted["refused"] > 0,
    }
