-- qb's ledger: what happened on this database. Version 1.
CREATE SCHEMA qb;

COMMENT ON SCHEMA qb IS 'qb''s ledger: which migrations ran here, how, and what the schema became';

CREATE TABLE qb.meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),   -- a single row
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    baseline_sql text NOT NULL,                         -- the schema before the first migration
    baseline_snapshot text NOT NULL
);

-- one row per run of a migration; the last one by `run` says how it stands
CREATE TABLE qb.history (
    run bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,                             -- of what ran
    raw_checksum text NOT NULL DEFAULT '',              -- of the files' bytes as they were then
    down_checksum text NOT NULL DEFAULT '',             -- of the way back, as it was then
    direction text NOT NULL CHECK (direction IN ('up', 'down')),
    status text NOT NULL CONSTRAINT history_status_check CHECK (status IN
        ('running', 'applied', 'expanded', 'contracted', 'rolled back', 'failed', 'stopped')),
    who text NOT NULL DEFAULT session_user,
    host text NOT NULL DEFAULT '',
    qb_version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz,
    seconds double precision,                           -- at work: not while it lay half applied
    worked double precision NOT NULL DEFAULT 0,         -- of these, before it went on the last time
    continued_at timestamptz,                           -- when it went on the last time
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
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    seconds double precision,
    rows bigint,
    wal_bytes bigint,
    attempts integer NOT NULL DEFAULT 1,
    locks jsonb NOT NULL DEFAULT '{}',
    messages jsonb NOT NULL DEFAULT '[]',               -- what the server said: NOTICE, WARNING
    error text NOT NULL DEFAULT '',
    before jsonb NOT NULL DEFAULT '{}',                 -- outside a transaction: what was there
    PRIMARY KEY (run, number)
);

-- one row per file of a run, once all its statements are committed
CREATE TABLE qb.part (
    run bigint NOT NULL REFERENCES qb.history ON DELETE CASCADE,
    file text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('pre', 'migration', 'post')),
    state text NOT NULL CHECK (state IN ('applied', 'undone')),
    transaction text NOT NULL CHECK (transaction IN ('one', 'each statement', 'mixed')),
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (run, file)
);

-- what a run held and whom it kept waiting, looked at several times a second while it ran
CREATE TABLE qb.sample (
    run bigint NOT NULL REFERENCES qb.history ON DELETE CASCADE,
    at double precision NOT NULL,                       -- seconds since the run's first statement
    step integer NOT NULL,
    held jsonb NOT NULL DEFAULT '{}',                   -- relation: the strongest lock mode on it
    waits_for jsonb NOT NULL DEFAULT '[]',              -- who blocks the run
    blocked integer NOT NULL DEFAULT 0,                 -- sessions that wait for the run
    longest double precision NOT NULL DEFAULT 0,        -- seconds that the longest of them waits
    blocked_by_run jsonb NOT NULL DEFAULT '[]',         -- who these are
    cancelled boolean NOT NULL DEFAULT false,           -- for their sake the statement was given up
    wal_bytes bigint,                                   -- of the whole server since the run began
    io jsonb NOT NULL DEFAULT '{}',
    progress jsonb NOT NULL DEFAULT '{}',               -- of the server's own progress views
    PRIMARY KEY (run, at)
);

-- what people decided about the state: repaired, accepted, adopted; only ever added to
CREATE TABLE qb.event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    who text NOT NULL DEFAULT session_user,
    host text NOT NULL DEFAULT '',
    what text NOT NULL,
    migration text,
    run bigint,
    reason text NOT NULL DEFAULT '',
    detail jsonb NOT NULL DEFAULT '{}'
);

-- the schema after each run, to compare with what is there later
CREATE TABLE qb.snapshot (
    run bigint PRIMARY KEY REFERENCES qb.history ON DELETE CASCADE,
    fingerprint text NOT NULL,
    probe text NOT NULL DEFAULT '',                     -- a hash that any change of it moves
    snapshot text NOT NULL
);
