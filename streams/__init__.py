"""Turn transactions into decisions, exactly once: a pure detector, moved by thin arrows hosted in Faust."""
