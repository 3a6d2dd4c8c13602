"""Everything two processes must agree on: messages, codec, topics, settings, tables.

Rooms (`producers`, `streams`, `consumers`) never import one another; they meet here.
"""
