"""A sink that dies at every step, over logs in memory and a real store; every view against the topics."""
