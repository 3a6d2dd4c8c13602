"""Recorded payments: what a column of a file or of a query means, and the rows as transactions with labels, in order.

Both who publishes a recording and who evaluates on one read it here, so it is read in one way.
"""
