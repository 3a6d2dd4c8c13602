"""`python -m deploy.grafana`: write `deploy/grafana/dashboards` anew. Needs the extra `dev`."""

from pathlib import Path

from deploy.grafana.boards import BOARDS
from deploy.grafana.dashboard import dashboard_json

DASHBOARDS = Path(__file__).resolve().parent / "dashboards"


def main() -> None:
    """Write one file for each dashboard."""
    for name, panels in BOARDS.items():
        (DASHBOARDS / f"{name}.json").write_text(dashboard_json(name, panels), encoding="utf-8")


if __name__ == "__main__":
    main()
