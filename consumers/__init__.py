"""Put results where people look: topics to ClickHouse, and from there to a terminal or a Parquet file."""
