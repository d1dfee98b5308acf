from qb_engine import Backfill


class Segment(Backfill):
    """Who buys for a company, by the address."""

    table = "customers"
    set = {"segment": "CASE WHEN email LIKE '%@mail.example' THEN 'private' ELSE 'company' END"}
    where = "segment IS NULL"
    validate = "SELECT id FROM customers WHERE segment IS NULL"
