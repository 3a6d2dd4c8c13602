"""What scores are worth: ranking, money, probabilities, and how sure that is. Pure functions over arrays."""
