"""Recorded payments: what a column of your file means, and the rows as transactions with their labels, in order.

Both who publishes a recording and who evaluates on one read it here, so it is read in one way.
"""
