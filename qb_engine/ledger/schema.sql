-- qb's ledger: what happened on this database. Version 1.
CREATE SCHEMA qb;

COMMENT ON SCHEMA qb IS 'qb''s ledger: which migrations ran here, how, and what the schema became';

CREATE TABLE qb.meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),   -- a single row
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    baseline_sql text NOT NULL,                         -- the schema before the first migration
    baseline_snapshot text NOT NULL
);

-- one row per run of a migration; the last one by `run` says how it stands
CREATE TABLE qb.history (
    run bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,                             -- of what ran
    down_checksum text NOT NULL DEFAULT '',             -- of the way back, as it was then
    direction text NOT NULL CHECK (direction IN ('up', 'down')),
    status text NOT NULL CHECK (status IN
        ('running', 'applied', 'expanded', 'rolled back', 'failed', 'stopped')),
    who text NOT NULL DEFAULT session_user,
    host text NOT NULL DEFAULT '',
    qb_version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    seconds double precision,
    fingerprint_before text,
    fingerprint_after text,
    error text NOT NULL DEFAULT ''
);

CREATE INDEX history_migration ON qb.history (migration, run DESC);

-- one row per statement of a run
CREATE TABLE qb.step (
    run bigint NOT NULL REFERENCES qb.history ON DELETE CASCADE,
    number integer NOT NULL,
    part text NOT NULL,
    sql text NOT NULL,
    place text NOT NULL DEFAULT '',
    status text NOT NULL CHECK (status IN ('running', 'done', 'failed')),
    transactional boolean NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seconds double precision,
    rows bigint,
    wal_bytes bigint,
    attempts integer NOT NULL DEFAULT 1,
    locks jsonb NOT NULL DEFAULT '{}',
    error text NOT NULL DEFAULT '',
    PRIMARY KEY (run, number)
);

-- the schema after each run, to compare with what is there later
CREATE TABLE qb.snapshot (
    run bigint PRIMARY KEY REFERENCES qb.history ON DELETE CASCADE,
    fingerprint text NOT NULL,
    snapshot text NOT NULL
);
