"""The read tables: a fold of the log, kept in Postgres by Faust workers, in the transaction that moves their position.

Knows the shared language (schemas) and what it stands on (infra), and nothing of edges or clients. Start with lane.py,
the life of one batch; folds/ says what events do to rows, tables/ has one module for each table, generations.py the
complete builds of the tables, faust_worker.py the one place that knows Faust.
"""
