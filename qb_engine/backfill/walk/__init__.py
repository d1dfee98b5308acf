"""how a backfill goes through a table: its key, its partitions, the ranges, and the SQL of these"""
