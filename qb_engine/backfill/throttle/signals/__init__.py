"""what a backfill gives way to: one file per signal, found by being here"""
