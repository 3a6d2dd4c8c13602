"""A full disk under the embedded store: refused as something that passes, nothing lost, and gone on with by itself."""

import json
import subprocess
import sys
from pathlib import Path

from consumers.warehouse import TRANSIENT_CODES
from tests.conftest import cannot_run
from tests.contract.full_disk import ROWS

MAY_NOT = "unshare:"
"""How the system begins when it says that a process may have no mount namespace of its own."""


def test_a_full_disk_is_waited_out(tmp_path: Path) -> None:
    """Each insert says that the store is unavailable, reading goes on, and with room again the next one is stored."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.full_disk", str(tmp_path / "disk")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.stderr.startswith(MAY_NOT):
        cannot_run(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert len(seen["refused"]) == 3
    assert any(f"Code: {code}" in seen["refused"][0] for code in TRANSIENT_CODES), seen
    assert seen["while_full"] == ROWS
    assert (seen["rows"], seen["last"]) == (2 * ROWS, 2 * ROWS - 1)
