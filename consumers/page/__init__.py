"""The live page: what the store says now, in panels that a browser asks for again every two seconds.

Each panel is a question to the store (`stream`, `alerts`, `caught`, `model`, `features`, `stored`), an answer that is
kept for a while (`kept`) and a template; `app` joins them by address, and `serve` puts them on a port.
"""
