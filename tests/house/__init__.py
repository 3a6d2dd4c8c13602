"""The house rules, as functions from a tree of sources to the violations in it."""
