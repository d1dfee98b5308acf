"""how far a backfill is and what it took: read from the ledger, forecast, and put into words"""
