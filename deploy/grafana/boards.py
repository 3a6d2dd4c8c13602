"""The dashboards, by name: which panels each shows, in order."""

from collections.abc import Mapping

from deploy.grafana.of_payments import DRIFT, FRAUD
from deploy.grafana.of_upkeep import OPERATIONS, QUALITY
from deploy.grafana.panel import Panel

BOARDS: Mapping[str, tuple[Panel, ...]] = {
    "fraud": FRAUD,
    "drift": DRIFT,
    "quality": QUALITY,
    "operations": OPERATIONS,
}
