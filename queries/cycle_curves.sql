-- How does an angle run through the cycle?
--
-- Per video, person, kind and side: mean and standard deviation of a joint on 0 to 100 % of its
-- cycle, in 101 points; each cycle is read at its own times, on straight lines between frames. A
-- stride takes the angle of its own side, a jump or repetition both sides'. Filtered metrics are
-- used where there are any (`posedata metrics recompute`), else measured ones; a point is left out
-- in a cycle that has no value within 0.1 s before and behind it.
--
-- param joint choice(ankle, knee, hip, shoulder, elbow, wrist) = knee : whose angle
-- param video text = % : file name of the video, with SQL wildcards
WITH angles AS (
    UNPIVOT (
        SELECT video_id, person, time_secs, COLUMNS('^(left|right)_(ankle|knee|hip|shoulder|elbow|wrist)_deg$')
        FROM metrics_filtered
        UNION ALL BY NAME
        SELECT video_id, person, time_secs, COLUMNS('^(left|right)_(ankle|knee|hip|shoulder|elbow|wrist)_deg$')
        FROM metrics
        WHERE video_id NOT IN (SELECT video_id FROM metrics_filtered)
    )
    ON COLUMNS('_deg$')
    INTO NAME name VALUE angle_deg
),
sides AS (
    SELECT video_id, person, time_secs, split_part(name, '_', 1) AS side, angle_deg
    FROM angles
    WHERE split_part(name, '_', 2) = $joint
),
points AS (
    SELECT
        c.video_id, c.person, c.kind, c.cycle, s.side, p.percent,
        c.start_secs + (c.end_secs - c.start_secs) * p.percent / 100 AS time_secs
    FROM cycles AS c
    CROSS JOIN (SELECT unnest(['left', 'right']) AS side) AS s
    CROSS JOIN (SELECT unnest(range(101)) AS percent) AS p
    WHERE c.side = s.side OR c.kind IN ('jump', 'repetition')
),
before AS (
    SELECT p.*, s.time_secs AS before_secs, s.angle_deg AS before_deg
    FROM points AS p
    ASOF JOIN sides AS s
        ON p.video_id = s.video_id AND p.person = s.person AND p.side = s.side AND p.time_secs >= s.time_secs
),
around AS (
    SELECT b.*, s.time_secs AS after_secs, s.angle_deg AS after_deg
    FROM before AS b
    ASOF JOIN sides AS s
        ON b.video_id = s.video_id AND b.person = s.person AND b.side = s.side AND b.time_secs <= s.time_secs
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
    v.file_name,
    c.person,
    c.kind,
    c.side,
    c.percent,
    count(*) AS cycles,
    round(avg(c.angle_deg), 2) AS mean_deg,
    round(stddev_samp(c.angle_deg), 2) AS sd_deg
FROM curves AS c
JOIN videos AS v ON v.video_id = c.video_id
WHERE v.file_name LIKE $video
GROUP BY v.file_name, c.video_id, c.person, c.kind, c.side, c.percent
ORDER BY v.file_name, c.video_id, c.person, c.kind, c.side, c.percent;
