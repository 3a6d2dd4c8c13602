"""A seeded simulation of the exactly-once protocol: production tasks, inputs and stages on a broker in memory.

`world` makes the input records, `broker` keeps logs and transactions, `task_log` is the port that `Task` asks for,
`workers` are the processes that own tasks, `scheduler` lets chance decide what happens next and who dies where,
`oracle` says what the logs must hold in the end, `mutants` are protocols with one mistake each, for it to notice.

Not modelled: several replicas and the loss of a leader (an acknowledged write is never lost), the group protocol itself
(any assignment may happen at any time instead), a coordinator that fails, writers that share a transactional id across
partitions, and the threads of the Kafka clients: a fetch or a seek is done when it returns (`test_reseek` has a test of
its own for the race between them). A call of the port that is suspended goes on only after those that began later have
returned.
"""
