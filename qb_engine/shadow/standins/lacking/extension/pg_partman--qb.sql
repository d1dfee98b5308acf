-- The functions that migrations call; none makes a partition.
CREATE FUNCTION create_parent(p_parent_table text, p_control text, p_interval text, p_type text DEFAULT 'range',
    p_epoch text DEFAULT 'none', p_premake integer DEFAULT 4, p_start_partition text DEFAULT NULL,
    p_default_table boolean DEFAULT true, p_automatic_maintenance text DEFAULT 'on',
    p_constraint_cols text[] DEFAULT NULL, p_template_table text DEFAULT NULL, p_jobmon boolean DEFAULT true,
    p_date_trunc_interval text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN true; END $$;
CREATE FUNCTION run_maintenance(p_parent_table text DEFAULT NULL, p_analyze boolean DEFAULT false, p_jobmon boolean DEFAULT true)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN; END $$;
CREATE PROCEDURE run_maintenance_proc(p_wait integer DEFAULT 0, p_analyze boolean DEFAULT NULL, p_jobmon boolean DEFAULT true)
LANGUAGE plpgsql AS $$ BEGIN RETURN; END $$;
CREATE FUNCTION undo_partition(p_parent_table text, p_target_table text, p_loop_count integer DEFAULT 1,
    OUT partitions_undone integer, OUT rows_undone bigint)
RETURNS record LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN; END $$;
CREATE TABLE part_config (
    parent_table text PRIMARY KEY, control text NOT NULL, partition_interval text NOT NULL,
    partition_type text NOT NULL DEFAULT 'range', premake integer NOT NULL DEFAULT 4,
    automatic_maintenance text NOT NULL DEFAULT 'on', template_table text, retention text,
    retention_schema text, retention_keep_table boolean NOT NULL DEFAULT true,
    infinite_time_partitions boolean NOT NULL DEFAULT false
);
GRANT ALL ON part_config TO PUBLIC;
