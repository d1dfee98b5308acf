-- one row per migration that fills rows: what is asked for, and how far it is
CREATE TABLE qb.backfill (
    id text PRIMARY KEY,                                -- the migration's id
    checksum text NOT NULL,                             -- of the declaration it was started with
    schema_name text NOT NULL,
    table_name text NOT NULL,
    key_columns text[] NOT NULL,                        -- in the order of their index
    key_types text[] NOT NULL,
    set_columns text[] NOT NULL,
    set_types text[] NOT NULL,
    set_sql text[] NOT NULL,                            -- an expression per column
    where_sql text NOT NULL DEFAULT '',
    validate_sql text NOT NULL DEFAULT '',
    batch_size integer NOT NULL CHECK (batch_size > 0),
    batch_limit integer NOT NULL CHECK (batch_limit > 0), -- keys of a batch; below it time decides
    parallel integer NOT NULL CHECK (parallel > 0),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN
        ('pending', 'running', 'paused', 'verifying', 'completed', 'failed', 'cancelled')),
    wanted text NOT NULL DEFAULT 'run' CHECK (wanted IN ('run', 'pause', 'cancel')),
    rows_total bigint,                                  -- rows that need it, as far as known
    total_exact boolean NOT NULL DEFAULT false,
    upper_bound text[],                                 -- the highest key when it began
    frozen_at timestamptz,                              -- when that was; the segments exist since
    task_queue text NOT NULL DEFAULT '',
    workflow_id text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',                      -- what it waits for
    error text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz
);

-- a key range that one lane works on at a time; a batch moves `cursor` in its own transaction
CREATE TABLE qb.segment (
    backfill text NOT NULL REFERENCES qb.backfill ON DELETE CASCADE,
    number integer NOT NULL,
    pass integer NOT NULL DEFAULT 0,                    -- 0: every row; 1, 2, ...: sweeps of late rows
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
    worker text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',
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
    at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (backfill, segment, number),
    FOREIGN KEY (backfill, segment) REFERENCES qb.segment ON DELETE CASCADE
);
