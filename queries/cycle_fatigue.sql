-- Does the movement change from the beginning to the end?
--
-- Per video, person, kind and side: the first third of the cycles against the last third. Negative
-- changes are smaller, shorter or lower at the end; variability is the standard deviation by the
-- mean, in percent. Videos with fewer than six cycles of a kind and side say nothing.
--
-- param video text = % : file name of the video, with SQL wildcards
WITH placed AS (
    SELECT
        *,
        if(kind = 'jump', flight_secs, end_secs - start_secs) AS duration_secs,
        highest_deg - lowest_deg AS depth_deg,
        ntile(3) OVER (PARTITION BY video_id, person, kind, side ORDER BY start_secs) AS third,
        count(*) OVER (PARTITION BY video_id, person, kind, side) AS cycles
    FROM cycles
),
numbers AS (
    UNPIVOT (
        SELECT video_id, person, kind, side, third, duration_secs, stance_secs, height_flight_m, depth_deg, speed_m_per_sec
        FROM placed
        WHERE cycles >= 6
    )
    ON duration_secs, stance_secs, height_flight_m, depth_deg, speed_m_per_sec
    INTO NAME quantity VALUE value
)
SELECT
    v.file_name,
    n.person,
    n.kind,
    n.side,
    n.quantity,
    count(*) AS cycles,
    round(avg(n.value) FILTER (n.third = 1), 3) AS first_third,
    round(avg(n.value) FILTER (n.third = 3), 3) AS last_third,
    round(100 * (avg(n.value) FILTER (n.third = 3) / nullif(avg(n.value) FILTER (n.third = 1), 0) - 1), 1)
        AS change_percent,
    round(100 * stddev_samp(n.value) / nullif(avg(n.value), 0), 1) AS variability_percent
FROM numbers AS n
JOIN videos AS v ON v.video_id = n.video_id
WHERE v.file_name LIKE $video
GROUP BY v.file_name, n.video_id, n.person, n.kind, n.side, n.quantity
ORDER BY v.file_name, n.video_id, n.person, n.kind, n.side, n.quantity;
