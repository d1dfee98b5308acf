-- one of every kind of object that a snapshot describes
DO $$ BEGIN CREATE ROLE zoo_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE "zoo Owner"; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
CREATE SCHEMA app;
CREATE SCHEMA "My Schema";
CREATE EXTENSION hstore SCHEMA app;

CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
ALTER TYPE app.mood ADD VALUE 'fine' BEFORE 'ok';
CREATE DOMAIN app.email AS text DEFAULT 'x@y' NOT NULL CONSTRAINT has_at CHECK (VALUE LIKE '%@%');
CREATE TYPE app.address AS (street text, number integer);
CREATE TYPE app.float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE COLLATION app.plain (provider = libc, locale = 'C');
CREATE SEQUENCE app.tickets INCREMENT 5 START 10 CYCLE MAXVALUE 1000;

CREATE TABLE app.parent (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "Weird ""Name" text COLLATE "C",
    mood app.mood DEFAULT 'ok',
    email app.email,
    address app.address,
    span app.float_range
);
CREATE TABLE app.child (
    id serial PRIMARY KEY,
    parent_id bigint REFERENCES app.parent ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    n integer,
    twice integer GENERATED ALWAYS AS (n * 2) STORED,
    x text,
    span int4range,
    label varchar(20) NOT NULL DEFAULT 'none',
    UNIQUE NULLS NOT DISTINCT (n),
    CONSTRAINT x_with_n UNIQUE (x) INCLUDE (n),
    EXCLUDE USING gist (span WITH &&)
);
ALTER TABLE app.child ADD CONSTRAINT n_positive CHECK (n > 0) NOT VALID;
ALTER TABLE app.child ALTER x SET STATISTICS 500, ALTER x SET STORAGE EXTERNAL;
CREATE INDEX child_partial ON app.child (x text_pattern_ops DESC, n NULLS FIRST)
    WHERE n > 5 AND x <> ' WHERE (';
CREATE INDEX child_expressions ON app.child (lower(x), (n + 1)) INCLUDE (twice)
    WITH (fillfactor = 70);
CREATE INDEX child_brin ON app.child USING brin (n) WITH (pages_per_range = 4);
CREATE INDEX child_collated ON app.child (x COLLATE app.plain);
CREATE INDEX child_cased ON app.child (n)
    WHERE CASE WHEN n > 1 THEN x = 'a' ELSE x = 'b' END;
CREATE INDEX child_gin ON app.child USING gin (to_tsvector('simple', x));
CREATE INDEX child_label ON app.child (label varchar_pattern_ops);
CREATE INDEX "Quoted Index" ON app.parent ("Weird ""Name");
CREATE INDEX "select" ON app.parent ("Weird ""Name" text_pattern_ops);
CREATE INDEX parent_hash ON app.parent USING hash (id);
CREATE UNIQUE INDEX parent_mood ON app.parent (mood, id);
CREATE UNIQUE INDEX parent_mood_distinct ON app.parent (mood, id) NULLS NOT DISTINCT;

CREATE TABLE app.event (id integer, at date NOT NULL, what text, PRIMARY KEY (id, at))
    PARTITION BY RANGE (at);
CREATE TABLE app.event_2024 PARTITION OF app.event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE app.event_rest PARTITION OF app.event DEFAULT;
CREATE INDEX event_what ON app.event (what);
CREATE INDEX event_only ON ONLY app.event (what, id);
CREATE TABLE app.reference (
    id integer, at date, CONSTRAINT to_event FOREIGN KEY (id, at) REFERENCES app.event
);
CREATE TABLE app.heir (extra integer) INHERITS (app.reference);
CREATE UNLOGGED TABLE "My Schema"."Order Items" (
    id integer, "naïve""quote" text, CONSTRAINT "ck é" CHECK (id > 0)
);

CREATE VIEW app.view AS SELECT id, x FROM app.child WHERE n > 0 WITH LOCAL CHECK OPTION;
CREATE MATERIALIZED VIEW app.counted AS SELECT count(*) AS rows FROM app.child WITH NO DATA;
CREATE UNIQUE INDEX counted_rows ON app.counted (rows);

CREATE FUNCTION app.f(a integer, b text DEFAULT 'z') RETURNS integer
    LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION app.f(a bigint) RETURNS SETOF app.parent
    LANGUAGE plpgsql AS $$ BEGIN RETURN; END $$;
CREATE PROCEDURE app.p(INOUT x integer) LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.atomic() RETURNS bigint LANGUAGE sql
    BEGIN ATOMIC SELECT count(*) FROM app.child; END;
CREATE AGGREGATE app.total(integer) (sfunc = int4pl, stype = integer, initcond = '0');
CREATE FUNCTION app.on_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE TRIGGER before_insert BEFORE INSERT ON app.child
    FOR EACH ROW WHEN (new.n > 3) EXECUTE FUNCTION app.on_change();
ALTER TABLE app.child DISABLE TRIGGER before_insert;
CREATE TRIGGER after_insert AFTER INSERT ON app.event
    FOR EACH ROW EXECUTE FUNCTION app.on_change();
CREATE RULE keep AS ON DELETE TO app.parent DO INSTEAD NOTHING;
ALTER TABLE app.child ENABLE ROW LEVEL SECURITY;
CREATE POLICY many ON app.child FOR SELECT TO zoo_reader USING (n > 3);
CREATE STATISTICS app.together (ndistinct) ON n, x FROM app.child;

CREATE OPERATOR app.=== (leftarg = integer, rightarg = integer, function = int4eq);
CREATE OPERATOR FAMILY app.family USING btree;
CREATE OPERATOR CLASS app.class FOR TYPE integer USING btree FAMILY app.family AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(integer, integer);
CREATE CAST (app.mood AS integer) WITH INOUT AS ASSIGNMENT;
CREATE DEFAULT CONVERSION app.conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH DICTIONARY app.words (template = simple);
CREATE TEXT SEARCH CONFIGURATION app.english (copy = english);
CREATE PUBLICATION changes FOR TABLE app.child (id, x) WHERE (id > 3);
CREATE FOREIGN DATA WRAPPER wrapper OPTIONS (secret 'hush-hush');
CREATE SERVER elsewhere FOREIGN DATA WRAPPER wrapper OPTIONS (host 'h', password 'hush-hush');
CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (user 'u', password 'hush-hush');
CREATE FOREIGN TABLE app.far (a integer OPTIONS (column_name 'aa', pw 'hush-hush'))
    SERVER elsewhere OPTIONS (table_name 't', pw 'hush-hush');
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
    EXECUTE FUNCTION app.on_ddl();
CREATE ACCESS METHOD slow TYPE TABLE HANDLER heap_tableam_handler;

GRANT SELECT, INSERT ON app.parent TO zoo_reader;
GRANT UPDATE ("Weird ""Name") ON app.parent TO zoo_reader WITH GRANT OPTION;
GRANT USAGE ON SCHEMA app TO PUBLIC;
REVOKE EXECUTE ON FUNCTION app.f(integer, text) FROM PUBLIC;
GRANT USAGE ON SEQUENCE app.tickets TO zoo_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO zoo_reader;
ALTER TABLE app.reference OWNER TO "zoo Owner";
GRANT SELECT ON app.reference TO PUBLIC;

COMMENT ON TABLE app.parent IS 'about it';
COMMENT ON COLUMN app.parent.id IS 'about it';
COMMENT ON SCHEMA app IS 'about it';
COMMENT ON CONSTRAINT child_pkey ON app.child IS 'about it';
COMMENT ON INDEX app.child_brin IS 'about it';
COMMENT ON FUNCTION app.f(bigint) IS 'about it';
COMMENT ON PROCEDURE app.p(integer) IS 'about it';
COMMENT ON AGGREGATE app.total(integer) IS 'about it';
COMMENT ON TYPE app.mood IS 'about it';
COMMENT ON TYPE app.address IS 'about it';
COMMENT ON TYPE app.float_range IS 'about it';
COMMENT ON DOMAIN app.email IS 'about it';
COMMENT ON CONSTRAINT has_at ON DOMAIN app.email IS 'about it';
COMMENT ON TRIGGER before_insert ON app.child IS 'about it';
COMMENT ON POLICY many ON app.child IS 'about it';
COMMENT ON RULE keep ON app.parent IS 'about it';
COMMENT ON VIEW app.view IS 'about it';
COMMENT ON COLUMN app.view.x IS 'about it';
COMMENT ON MATERIALIZED VIEW app.counted IS 'about it';
COMMENT ON SEQUENCE app.tickets IS 'about it';
COMMENT ON OPERATOR app.=== (integer, integer) IS 'about it';
COMMENT ON CAST (app.mood AS integer) IS 'about it';
COMMENT ON EVENT TRIGGER watch IS 'about it';
COMMENT ON PUBLICATION changes IS 'about it';
COMMENT ON FOREIGN TABLE app.far IS 'about it';
COMMENT ON SERVER elsewhere IS 'about it';
COMMENT ON STATISTICS app.together IS 'about it';
COMMENT ON COLLATION app.plain IS 'about it';
COMMENT ON COLUMN app.address.street IS 'about it';
COMMENT ON EXTENSION hstore IS 'about it';
