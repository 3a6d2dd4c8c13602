"""What a machine needs to run the system: a broker, a database server, supervised processes and the two commands."""
