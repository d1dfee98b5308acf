"""who has it run: the workflow, its activities, the worker that runs these, and reaching Temporal

Nothing else in qb imports Temporal's client. What it needs to know travels as small payloads.
"""
