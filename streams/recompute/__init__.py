"""Make every decision again from the logs alone, with the production stages, and compare it byte for byte.

The order in which a card's payments and labels met is in the positions of the profiled records and of the markers of
repeats, the order of a merchant's in the profiled partition, and what was in force is named by each prediction. So
nothing has to be assumed: `order` says what came when, `replay` runs the stages over it, `models` folds the training
log, `run` joins the passes, and `compare` says where the log holds something else.
"""
