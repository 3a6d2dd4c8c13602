"""The model registry for people: what there is, which decides, and commands that change it."""
