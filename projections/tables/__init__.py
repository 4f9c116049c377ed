"""One module for each table: its rows, its definition, and the SQL that writes a batch of them.

No module here knows events or Kafka: rows come from folds/. `{schema}` in a statement is the generation's; nothing
relies on a search path. Values come from the log alone: no clock, no sequence, no default that makes one.
"""
