-- How does an angle, or any other metric, run through the cycle?
--
-- Per video, person, kind and side: mean and standard deviation of a metric on 0 to 100 % of its
-- cycle, in 101 points; each cycle is read at its own times, on straight lines between frames. A
-- stride takes the metric of its own side, a jump or repetition both sides'; what has no side is
-- there for each side's cycles. Filtered metrics are used where there are any (`posedata metrics
-- recompute`), else measured ones; a point is left out in a cycle that has no value within 0.1 s
-- before and behind it, or where a segment's angle goes through its range's end (180 degrees, of
-- pelvis and shoulders 90); mean and sd are NULL where cycles lie on both sides of that.
-- Jumps whose take-off and landing are too uncertain (flight_secs is NULL) are left out.
--
-- param metric text = knee_deg : column of metrics or metrics_filtered; left_, right_ and _deg may be left out
-- param video text = % : file name of the video, with SQL wildcards
WITH frames AS (
    SELECT * FROM metrics_filtered
    UNION ALL BY NAME
    SELECT * FROM metrics
    WHERE video_id NOT IN (SELECT video_id FROM metrics_filtered)
),
chosen AS (
    UNPIVOT (
        SELECT
            video_id, person, time_secs,
            COLUMNS(name -> name IN (
                $metric, 'left_' || $metric, 'right_' || $metric,
                $metric || '_deg', 'left_' || $metric || '_deg', 'right_' || $metric || '_deg'
            ))::DOUBLE
        FROM frames
    )
    ON COLUMNS(* EXCLUDE (video_id, person, time_secs))
    INTO NAME name VALUE value
),
sides AS (
    SELECT
        video_id, person, time_secs, value,
        CASE WHEN name LIKE 'left\_%' ESCAPE '\' THEN 'left' WHEN name LIKE 'right\_%' ESCAPE '\' THEN 'right' ELSE 'both' END
            AS side,
        CASE
            WHEN name IN ('pelvis_segment_deg', 'shoulders_segment_deg') THEN 90
            WHEN name LIKE '%\_segment\_deg' ESCAPE '\' THEN 180
        END AS half_turn_deg
    FROM chosen
),
points AS (
    SELECT
        c.video_id, c.person, c.kind, c.cycle, s.side, coalesce(c.side, s.side) AS cycle_side, p.percent,
        c.start_secs + (c.end_secs - c.start_secs) * p.percent / 100 AS time_secs
    FROM cycles AS c
    CROSS JOIN (SELECT DISTINCT side FROM sides) AS s
    CROSS JOIN (SELECT unnest(range(101)) AS percent) AS p
    WHERE (s.side IN (c.side, 'both') OR c.kind IN ('jump', 'repetition'))
        AND (c.kind <> 'jump' OR c.flight_secs IS NOT NULL)
),
before AS (
    SELECT p.*, s.time_secs AS before_secs, s.value AS before_value, s.half_turn_deg
    FROM points AS p
    ASOF JOIN sides AS s
        ON p.video_id = s.video_id AND p.person = s.person AND p.side = s.side AND p.time_secs >= s.time_secs
),
around AS (
    SELECT b.*, s.time_secs AS after_secs, s.value AS after_value
    FROM before AS b
    ASOF JOIN sides AS s
        ON b.video_id = s.video_id AND b.person = s.person AND b.side = s.side AND b.time_secs <= s.time_secs
),
curves AS (
    SELECT
        *,
        CASE
            WHEN after_secs > before_secs
            THEN before_value + (after_value - before_value) * (time_secs - before_secs) / (after_secs - before_secs)
            ELSE before_value
        END AS value
    FROM around
    WHERE time_secs - before_secs <= 0.1 AND after_secs - time_secs <= 0.1
        AND coalesce(abs(after_value - before_value) <= half_turn_deg, true)
)
SELECT
    v.file_name,
    c.person,
    c.kind,
    if(c.side = 'both', c.cycle_side, c.side) AS side,
    c.percent,
    count(*) AS cycles,
    round(if(max(c.value) - min(c.value) > any_value(c.half_turn_deg), NULL, avg(c.value)), 3) AS mean,
    round(if(max(c.value) - min(c.value) > any_value(c.half_turn_deg), NULL, stddev_samp(c.value)), 3) AS sd
FROM curves AS c
JOIN videos AS v ON v.video_id = c.video_id
WHERE v.file_name LIKE $video
GROUP BY v.file_name, c.video_id, c.person, c.kind, if(c.side = 'both', c.cycle_side, c.side), c.percent
ORDER BY v.file_name, c.video_id, c.person, c.kind, side, c.percent;
