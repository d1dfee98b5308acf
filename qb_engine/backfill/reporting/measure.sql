-- a backfill at one moment, in one row: what is cheap however many batches there were
WITH recent AS MATERIALIZED (
    SELECT rows, ms, greatest(extract(epoch FROM statement_timestamp() - at)::float8, 0) AS age
    FROM qb.batch
    WHERE backfill = %(id)s AND at > statement_timestamp() - %(window)s * interval '1 s'
    ORDER BY at DESC LIMIT %(most)s
), span AS (
    SELECT count(*) AS batches, max(age + ms / 1000) AS since,
        sum(rows * exp(age * ln(0.5::float8) / %(half)s::float8)) AS weighted
    FROM recent
), sliced AS (
    SELECT least(%(slices)s - 1, floor(age / since * %(slices)s))::int AS slice,
        sum(rows)::float8 AS rows
    FROM recent, span WHERE since > 0 GROUP BY 1
)
SELECT b.kind, b.key_said, b.state, b.wanted, b.schema_name, b.table_name, b.rows_total,
    b.total_exact, b.error, b.error_code, b.note, b.task_queue, b.workflow_id, b.checksum, b.where_sql <> '',
    b.parallel, b.options, b.then_post, b.post_state, b.post_error, b.in_sync, b.explained,
    b.estimated, b.checked, b.started_at, b.finished_at,
    extract(epoch FROM coalesce(b.finished_at, clock_timestamp()) - b.started_at)::float8 AS spent,
    s.segments, span.since, span.weighted, span.batches, (
        SELECT max(at) FROM qb.batch WHERE backfill = b.id) AS last_at, (
        SELECT min(at - ms * interval '1 ms') FROM (
            SELECT at, ms FROM qb.batch WHERE backfill = b.id ORDER BY at LIMIT 8) AS f) AS first_at,
    (SELECT json_object_agg(slice, rows) FROM sliced) AS slices,
    h.holds, (SELECT count(*) FROM qb.quarantine WHERE backfill = b.id AND state = 'open'),
    (SELECT json_agg(json_build_array(id, lanes, concurrency, rss_bytes, cpu_share,
            server_cpu_share, extract(epoch FROM clock_timestamp() - seen_at)::float8) ORDER BY id)
        FROM qb.worker WHERE seen_at > clock_timestamp() - %(heard)s * interval '1 s'),
    clock_timestamp()
FROM span CROSS JOIN qb.backfill AS b
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(number, pass, array_to_string(lo, ', '),
        array_to_string(hi, ', '), array_to_string(cursor, ', '), epoch, status, rows_done,
        rows_seen, rows_again, batches, worker, note, nullif(concat_ws('.', part_schema,
        part_table), ''), size, retries, quarantined,
        extract(epoch FROM clock_timestamp() - held_since)::float8) ORDER BY number) AS segments
    FROM qb.segment WHERE backfill = b.id
) AS s ON true
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(segment, signal, says, reason, release,
        extract(epoch FROM clock_timestamp() - since)::float8, since) ORDER BY since) AS holds
    FROM (
        SELECT DISTINCT ON (segment, signal) segment, signal, says, reason, release, since
        FROM qb.hold AS h JOIN qb.segment AS g USING (backfill)
        WHERE backfill = b.id AND until IS NULL AND says <> 'unread' AND g.number = h.segment
            AND g.status = 'running' AND b.state IN ('running', 'verifying')
        ORDER BY segment, signal, id DESC LIMIT %(holds)s
    ) AS h
) AS h ON true
WHERE b.id = %(id)s
