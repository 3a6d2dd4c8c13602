"""What the monitors measure, how they judge it, and what they take for its cause: pure, over aggregates."""
