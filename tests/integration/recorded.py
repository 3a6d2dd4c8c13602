"""A recording of a payment a second, as a file that the mapping `handbook` reads."""

from pathlib import Path


def recorded(folder: Path, rows: int, *, cards: int, fraud_each: int) -> Path:
    """Write so many payments, every so manieth a fraud, and return the file."""
    path = folder / "recorded.csv"
    lines = ["TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD"]
    lines += [
        f"{n},2018-04-01 00:{n // 60:02}:{n % 60:02},{n % cards},{n % 7},{n}.05,{int(n % fraud_each == 0)}"
        for n in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path
