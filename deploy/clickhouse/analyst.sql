-- Who may look and change nothing: a role, its limits and its quota, for a server of version 24.2 or later. Run it as an
-- administrator in the database of the store, again after migrations, and as often as you like:
--
--     clickhouse-client --database fraud --queries-file deploy/clickhouse/analyst.sql
--
-- Users are made without a way in. Give each a secret and hosts of its own:
--
--     ALTER USER fraud_grafana IDENTIFIED WITH sha256_password BY '...' HOST IP '10.0.0.0/8'
--     CREATE USER ana IDENTIFIED WITH sha256_password BY '...' DEFAULT ROLE fraud_analyst
CREATE ROLE IF NOT EXISTS fraud_analyst;

-- readonly = 1: no statement that writes, and no setting that is changed, but for the time limit, which Grafana's data
-- source sets itself. What goes beyond a limit is refused, not cut off: half an answer is a wrong one.
CREATE SETTINGS PROFILE IF NOT EXISTS fraud_analyst SETTINGS
    readonly = 1,
    max_execution_time = 60 MIN 1 MAX 300 CHANGEABLE_IN_READONLY,
    max_result_rows = 1000000 READONLY,
    max_result_bytes = 1000000000 READONLY,
    result_overflow_mode = 'throw' READONLY,
    max_rows_to_read = 2000000000 READONLY,
    read_overflow_mode = 'throw' READONLY,
    max_memory_usage = 4000000000 READONLY,
    max_concurrent_queries_for_user = 8 READONLY
    TO fraud_analyst;

-- By user, so that one that asks for too much holds up nobody else.
CREATE QUOTA IF NOT EXISTS fraud_analyst KEYED BY user_name
    FOR INTERVAL 1 minute MAX queries = 600,
    FOR INTERVAL 1 hour MAX queries = 6000, read_rows = 50000000000, execution_time = 1800
    TO fraud_analyst;

GRANT SELECT ON * TO fraud_analyst;

-- What senders sent stays where it is: a dead letter may hold anything but card numbers.
REVOKE SELECT(key, value, headers) ON dead_letters FROM fraud_analyst;
REVOKE SELECT(key, value, headers) ON v_dead_letters FROM fraud_analyst;

-- It finds its dead letters by what is in them, and shows nothing of it.
ALTER TABLE v_labels MODIFY SQL SECURITY DEFINER DEFINER = CURRENT_USER;

CREATE USER IF NOT EXISTS fraud_grafana HOST NONE DEFAULT ROLE fraud_analyst;
GRANT fraud_analyst TO fraud_grafana;
