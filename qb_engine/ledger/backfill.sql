-- one row per migration that fills rows: what is asked for, and how far it is
CREATE TABLE qb.backfill (
    id text PRIMARY KEY,                                -- the migration's id
    checksum text NOT NULL,                             -- of the declaration it was started with
    schema_name text NOT NULL,
    table_name text NOT NULL,
    key_columns text[] NOT NULL,                        -- in the order of their index
    key_types text[] NOT NULL,
    key_collations text[] NOT NULL DEFAULT '{}',        -- of the index, where not the column's own
    key_nulls_first boolean NOT NULL DEFAULT false,     -- the order of the index
    key_said text NOT NULL DEFAULT '',                  -- which key that is, and why
    kind text NOT NULL DEFAULT 'set' CHECK (kind IN ('set', 'sql', 'transform')),
    set_columns text[] NOT NULL,
    set_types text[] NOT NULL,
    set_sql text[] NOT NULL,                            -- an expression per column
    statement text NOT NULL DEFAULT '',                 -- of the kind sql, with {batch}
    reads text[] NOT NULL DEFAULT '{}',                 -- columns that a transform reads
    where_sql text NOT NULL DEFAULT '',
    validate_sql text NOT NULL DEFAULT '',
    batch_size integer NOT NULL CHECK (batch_size > 0),
    batch_limit integer NOT NULL CHECK (batch_limit > 0), -- keys of a batch; below it time decides
    parallel integer NOT NULL CHECK (parallel > 0),
    options jsonb NOT NULL DEFAULT '{}',                -- how it goes: rate, throttle, errors
    tuned integer NOT NULL DEFAULT 0,                   -- counts changes of the four above
    state text NOT NULL DEFAULT 'pending' CHECK (state IN
        ('pending', 'running', 'paused', 'verifying', 'completed', 'failed', 'cancelled')),
    wanted text NOT NULL DEFAULT 'run' CHECK (wanted IN ('run', 'pause', 'cancel')),
    rows_total bigint,                                  -- rows that need it, as far as known
    total_exact boolean NOT NULL DEFAULT false,
    upper_bound text[],                                 -- the highest key when it began
    frozen_at timestamptz,                              -- when that was; the segments exist since
    relation oid,                                       -- the table then: another may get its name
    task_queue text NOT NULL DEFAULT '',
    workflow_id text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',                      -- what it waits for
    error text NOT NULL DEFAULT '',
    error_code text NOT NULL DEFAULT '',                -- its SQLSTATE, where there is one
    edited_at timestamptz,                              -- rows before that have an older form
    then_post boolean NOT NULL DEFAULT false,           -- what comes after it runs by itself
    post_state text NOT NULL DEFAULT '' CHECK (post_state IN
        ('', 'waiting', 'running', 'done', 'failed')),  -- how that stands, where it is asked for
    post_error text NOT NULL DEFAULT '',
    in_sync text NOT NULL DEFAULT '',                   -- the trigger that writes what is new
    explained jsonb,                                    -- the last plan of a batch that was looked at
    estimated jsonb,                                    -- what was expected before it started
    checked jsonb,                                      -- what was looked at after it, and found
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz
);

-- a key range that one lane works on at a time; a batch moves `cursor` in its own transaction
CREATE TABLE qb.segment (
    backfill text NOT NULL REFERENCES qb.backfill ON DELETE CASCADE,
    number integer NOT NULL,
    part_schema text,                                   -- of a partition, where it is one's
    part_table text,
    relation oid,                                       -- that partition then
    node bigint,                                        -- the file that places on disk are in
    pass integer NOT NULL DEFAULT 0,                    -- 0: every row; 1, 2: sweeps; -1: of an earlier try
    lo text[],                                          -- rows after this key; null: from the first
    hi text[],                                          -- rows up to this key; null: to the last
    cursor text[],                                      -- done up to this key; null: nothing yet
    epoch bigint NOT NULL DEFAULT 0,                    -- counts claims; an older claim cannot write
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'running', 'done')),
    lane integer,                                       -- of the `parallel` ones, who has it
    size integer,                                       -- keys of the next batch
    rows_done bigint NOT NULL DEFAULT 0,
    rows_seen bigint NOT NULL DEFAULT 0,
    rows_again bigint NOT NULL DEFAULT 0,               -- written, and would be written again
    batches integer NOT NULL DEFAULT 0,
    retries integer NOT NULL DEFAULT 0,                 -- of batches, since it began
    tries integer NOT NULL DEFAULT 0,                   -- of the batch that fails now
    failing_since timestamptz,                          -- since when it does
    quarantined bigint NOT NULL DEFAULT 0,
    worker text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',                      -- why it waits, or tries again
    held_since timestamptz,                             -- a signal says stop since then
    PRIMARY KEY (backfill, number)
);

-- one row per committed batch
CREATE TABLE qb.batch (
    backfill text NOT NULL,
    segment integer NOT NULL,
    number integer NOT NULL,
    lo text[],
    hi text[],
    rows bigint NOT NULL,
    seen bigint NOT NULL,
    ms double precision NOT NULL,
    wal_bytes bigint,                                   -- of the whole server while it ran
    size integer,                                       -- keys it might have taken
    attempts integer NOT NULL DEFAULT 1,
    waited_ms double precision NOT NULL DEFAULT 0,      -- before it, for a signal or the rate
    held_by text NOT NULL DEFAULT '',                   -- the signal it waited for
    lag_s double precision,                             -- of the slowest replica, where known
    worker text NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (backfill, segment, number),
    FOREIGN KEY (backfill, segment) REFERENCES qb.segment ON DELETE CASCADE
);
CREATE INDEX ON qb.batch (backfill, at);                -- the last ones say how fast it goes

-- rows that could not be written and were set aside
CREATE TABLE qb.quarantine (
    backfill text NOT NULL REFERENCES qb.backfill ON DELETE CASCADE,
    key text[] NOT NULL,
    table_schema text NOT NULL,                         -- of the partition, where it is in one
    table_name text NOT NULL,
    segment integer NOT NULL,                           -- that passed it
    sqlstate text NOT NULL,
    error text NOT NULL,
    "row" jsonb,                                        -- as it was
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'skipped', 'written', 'gone')),
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (backfill, table_schema, table_name, key)
);

-- every time that a signal held a segment up, with the reason
CREATE TABLE qb.hold (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    backfill text NOT NULL REFERENCES qb.backfill ON DELETE CASCADE,
    segment integer NOT NULL,
    signal text NOT NULL,
    says text NOT NULL CHECK (says IN ('slow', 'stop', 'unread')), -- unread: it did not hold
    reason text NOT NULL,
    release text NOT NULL DEFAULT '',                   -- what would let it go on
    since timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    until timestamptz
);
CREATE INDEX ON qb.hold (backfill, id);
CREATE INDEX ON qb.hold (backfill) WHERE until IS NULL; -- what is held now

-- the rows per second of all lanes together: what was written is paid for until then
CREATE TABLE qb.rate (
    backfill text PRIMARY KEY REFERENCES qb.backfill ON DELETE CASCADE,
    due timestamptz NOT NULL
);

-- what the workers take, each by itself, every few seconds while it is busy
CREATE TABLE qb.worker (
    id text PRIMARY KEY,                                -- host:pid
    lanes integer NOT NULL,                             -- that run now
    concurrency integer NOT NULL,                       -- that may run
    rss_bytes bigint NOT NULL,
    cpu_share double precision NOT NULL,                -- 1.0: a core
    server_cpu_share double precision,                  -- of the backends it uses, where seen
    seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
