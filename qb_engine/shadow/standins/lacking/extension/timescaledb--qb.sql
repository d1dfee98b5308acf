-- The functions that migrations call; none makes a chunk, a trigger or a job.
CREATE FUNCTION create_hypertable(relation regclass, time_column_name name, partitioning_column name DEFAULT NULL,
    number_partitions integer DEFAULT NULL, associated_schema_name name DEFAULT NULL,
    associated_table_prefix name DEFAULT NULL, chunk_time_interval anyelement DEFAULT NULL::bigint,
    create_default_indexes boolean DEFAULT true, if_not_exists boolean DEFAULT false,
    partitioning_func regproc DEFAULT NULL, migrate_data boolean DEFAULT false,
    OUT hypertable_id integer, OUT schema_name name, OUT table_name name, OUT created boolean)
RETURNS SETOF record LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN; END $$;
CREATE FUNCTION by_range(column_name name, partition_interval anyelement DEFAULT NULL::bigint)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN column_name; END $$;
CREATE FUNCTION by_hash(column_name name, number_partitions integer)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN column_name; END $$;
CREATE FUNCTION create_hypertable(relation regclass, dimension text,
    create_default_indexes boolean DEFAULT true, if_not_exists boolean DEFAULT false,
    migrate_data boolean DEFAULT false, OUT hypertable_id integer, OUT created boolean)
RETURNS SETOF record LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN; END $$;
CREATE FUNCTION add_dimension(hypertable regclass, column_name name, number_partitions integer DEFAULT NULL,
    chunk_time_interval anyelement DEFAULT NULL::bigint, partitioning_func regproc DEFAULT NULL,
    if_not_exists boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN; END $$;
CREATE FUNCTION set_chunk_time_interval(hypertable regclass, chunk_time_interval anyelement, dimension_name name DEFAULT NULL)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN; END $$;
CREATE FUNCTION add_retention_policy(relation regclass, drop_after "any", if_not_exists boolean DEFAULT false,
    schedule_interval interval DEFAULT NULL, initial_start timestamptz DEFAULT NULL, timezone text DEFAULT NULL)
RETURNS integer LANGUAGE internal VOLATILE AS 'pg_backend_pid';
CREATE FUNCTION remove_retention_policy(relation regclass, if_exists boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN; END $$;
CREATE FUNCTION add_compression_policy(hypertable regclass, compress_after "any" DEFAULT NULL, if_not_exists boolean DEFAULT false)
RETURNS integer LANGUAGE internal VOLATILE AS 'pg_backend_pid';
CREATE FUNCTION remove_compression_policy(hypertable regclass, if_exists boolean DEFAULT false)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN true; END $$;
CREATE FUNCTION time_bucket(bucket_width interval, ts timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT date_bin($1, $2, '2000-01-03'::timestamptz) $$;
CREATE FUNCTION time_bucket(bucket_width interval, ts timestamp) RETURNS timestamp
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT date_bin($1, $2, '2000-01-03'::timestamp) $$;
CREATE FUNCTION time_bucket(bucket_width interval, ts date) RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT date_bin($1, $2::timestamp, '2000-01-03'::timestamp)::date $$;
CREATE FUNCTION time_bucket(bucket_width bigint, ts bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT $2 - mod($2, $1) $$;
CREATE FUNCTION time_bucket(bucket_width integer, ts integer) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT $2 - mod($2, $1) $$;
