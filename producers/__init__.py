"""Make events: replay a recording, or simulate shoppers and fraudsters, onto Kafka.

A recording and `world` both give cases: a transaction, and what will become of it and be said of it. A stream puts each
outcome and label at its time, and `events_to_kafka` publishes the stream at a pace.
"""
