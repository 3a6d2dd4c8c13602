"""Make events: replay a recorded file, or simulate shoppers and fraudsters, onto Kafka.

`recording` and `world` both give cases (a transaction and what will be said of it); `stream` puts each label at its
time; `events_to_kafka` publishes the stream at a pace.
"""
