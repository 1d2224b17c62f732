WITH angles AS (
    UNPIVOT (
        SELECT m.video_id, m.person, m.time_secs, COLUMNS('^(left|right)_(ankle|knee|hip|shoulder|elbow|wrist)_deg$')
        FROM metrics_filtered AS m
        WHERE m.video_id IN (SELECT video_id FROM report_videos)
        UNION ALL BY NAME
        SELECT m.video_id, m.person, m.time_secs, COLUMNS('^(left|right)_(ankle|knee|hip|shoulder|elbow|wrist)_deg$')
        FROM metrics AS m
        WHERE m.video_id IN (SELECT video_id FROM report_videos)
            AND m.video_id NOT IN (SELECT video_id FROM metrics_filtered)
    )
    ON COLUMNS('_deg$')
    INTO NAME name VALUE angle_deg
),
sides AS (
    SELECT video_id, person, time_secs, split_part(name, '_', 1) AS side, split_part(name, '_', 2) AS joint, angle_deg
    FROM angles
),
points AS (
    SELECT
        r.group_number, c.video_id, c.person, c.kind, c.cycle, s.side, j.joint, p.percent,
        c.start_secs + (c.end_secs - c.start_secs) * p.percent / 100 AS time_secs
    FROM report_videos AS r
    JOIN cycles AS c ON c.video_id = r.video_id AND c.person = r.person
    CROSS JOIN (SELECT unnest(['left', 'right']) AS side) AS s
    CROSS JOIN (SELECT unnest(['hip', 'knee', 'ankle', 'shoulder', 'elbow', 'wrist']) AS joint) AS j
    CROSS JOIN (SELECT unnest(range(101)) AS percent) AS p
    WHERE (c.side = s.side OR c.kind IN ('jump', 'repetition'))
        AND (c.kind <> 'jump' OR c.flight_secs IS NOT NULL)
        AND (j.joint IN ('hip', 'knee', 'ankle') OR split_part(c.method, '_', 2) = j.joint)
),
before AS (
    SELECT p.*, s.time_secs AS before_secs, s.angle_deg AS before_deg
    FROM points AS p
    ASOF JOIN sides AS s
        ON p.video_id = s.video_id AND p.person = s.person AND p.side = s.side AND p.joint = s.joint
        AND p.time_secs >= s.time_secs
),
around AS (
    SELECT b.*, s.time_secs AS after_secs, s.angle_deg AS after_deg
    FROM before AS b
    ASOF JOIN sides AS s
        ON b.video_id = s.video_id AND b.person = s.person AND b.side = s.side AND b.joint = s.joint
        AND b.time_secs <= s.time_secs
),
curves AS (
    SELECT
        *,
        CASE
            WHEN after_secs > before_secs
            THEN before_deg + (after_deg - before_deg) * (time_secs - before_secs) / (after_secs - before_secs)
            ELSE before_deg
        END AS angle_deg
    FROM around
    WHERE time_secs - before_secs <= 0.1 AND after_secs - time_secs <= 0.1
)
SELECT
    kind,
    joint,
    group_number,
    side,
    percent,
    count(*) AS cycles,
    round(avg(angle_deg), 2) AS mean_deg,
    round(stddev_samp(angle_deg), 2) AS sd_deg
FROM curves
GROUP BY ALL
ORDER BY kind, joint DESC, group_number, side, percent
