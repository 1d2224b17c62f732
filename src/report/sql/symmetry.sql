WITH numbers AS (
    UNPIVOT (
        SELECT
            r.group_name, r.group_number, c.kind, c.side,
            c.end_secs - c.start_secs AS stride_secs,
            c.step_secs, c.stance_secs, c.swing_secs
        FROM report_videos AS r
        JOIN cycles AS c ON c.video_id = r.video_id AND c.person = r.person
        WHERE c.kind IN ('walk', 'run')
    )
    ON stride_secs, step_secs, stance_secs, swing_secs
    INTO NAME quantity VALUE value
),
sides AS (
    SELECT
        group_number, group_name, kind, quantity,
        avg(value) FILTER (side = 'left') AS left_mean,
        avg(value) FILTER (side = 'right') AS right_mean
    FROM numbers
    GROUP BY ALL
)
SELECT
    group_name,
    kind,
    replace(replace(quantity, '_secs', ' time (s)'), '_', ' ') AS quantity,
    round(left_mean, 3) AS left_mean,
    round(right_mean, 3) AS right_mean,
    round(left_mean - right_mean, 3) AS difference,
    round(left_mean / nullif(right_mean, 0), 2) AS ratio,
    round(100 * (left_mean - right_mean) / nullif(0.5 * (left_mean + right_mean), 0), 1) AS symmetry_index_percent
FROM sides
WHERE left_mean IS NOT NULL AND right_mean IS NOT NULL
ORDER BY group_number, kind, quantity
