"""What the demo reports at its end: one object of figures, and one line of it."""

from typing import Any

from deploy.audit import Answers
from deploy.meter import Meter
from deploy.system import System


def report_of(system: System, meter: Meter, answers: Answers, produced: dict[str, Any]) -> dict[str, Any]:
    """Return what there is to say of a run that has come to rest; `produced` is the source's own report."""
    counters = system.counters()
    card, merchant = counters["card"], counters["merchant"]
    return {
        "transactions": answers.transactions,
        "decisions": answers.decisions,
        "decisions_repeated": answers.decisions_repeated,
        "decisions_missing": answers.decisions_missing,
        "dead_letters": card.get("dead_letters", 0) + merchant.get("dead_letters", 0),
        "duplicates": card.get("duplicates", 0),
        "predictions_stored": answers.predictions_stored,
        "labels": produced.get("labels", 0),
        "labels_pending": produced.get("labels_pending", 0),
        "labels_applied": card.get("labels", 0),
        "labels_learned": answers.labels_learned,
        "model_versions": answers.model_versions,
        "state": system.state_size(),
        "actions": answers.actions,
        "latency_ms": meter.latency_ms(),
        "rate_in": meter.rate_in,
        "rate_out": meter.rate_out,
        "stages_restarted": sum(worker.restarts for worker in system.workers),
        "learner_restarted": system.learner.restarts if system.learner else 0,
        "store_restarted": system.store.restarts if system.store else 0,
    }


def verdict(report: dict[str, Any]) -> str:
    """Return it in one line."""
    latency = report["latency_ms"]
    slices = [each for each in report["caught"] if each["caught_share"] is not None]
    caught = f"; fraud caught {slices[0]['caught_share']:.0%} at first, {slices[-1]['caught_share']:.0%} at last"
    return (
        f"{report['transactions']:,} transactions: {report['decisions_missing']} without an answer,"
        f" {report['decisions_repeated']} answered twice, {report['predictions_stored']:,} stored;"
        f" latency p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms;"
        f" {report['labels_learned']:,} labels learned, {report['model_versions']} model versions"
        f"{caught if slices else ''}"
    )
