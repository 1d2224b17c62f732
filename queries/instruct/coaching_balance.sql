-- Give coaching remarks on standing and balancing, each of which follows from a limit in the prompt.
--
-- Sway is how far the trunk's lean spreads, from the fifth to the ninety-fifth percentile; the
-- standing leg is taken to be the one whose knee is straighter on average.
--
-- recipe weight = 0.5
-- recipe window = 1 s, 1.5 s, 2 s
-- recipe rows = 30
-- recipe answer = text
-- param sports text = balance,balancing,standing,yoga,stability,rehab,physiotherapy,pilates : sports that these limits are for, with commas between
-- param lean_deg integer = 20 : the trunk leans too far from this mean on, in degrees
-- param sway_deg integer = 15 : the trunk sways from this spread of the lean on, in degrees
-- param speed number = 0.5 : the hips are restless from this mean speed on, in torso lengths per second
-- param knee_deg integer = 160 : the standing knee is bent below this mean, in degrees
WITH stances AS (
    SELECT *
    FROM windows
    WHERE list_contains(string_split($sports, ','), lower(sport))
),
measured AS (
    SELECT
        w.window_id,
        m.left_knee_deg, m.right_knee_deg, m.trunk_lean_deg, m.center_speed_torso_per_sec AS speed
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM stances) AS w
    JOIN metrics AS m ON m.video_id = w.video_id AND m.person = w.person AND m.frame = w.frame
),
spreads AS (
    SELECT
        window_id,
        round(quantile_cont(left_knee_deg, 0.05)::DOUBLE) AS left_knee_p5,
        round(avg(left_knee_deg)) AS left_knee_mean,
        round(quantile_cont(left_knee_deg, 0.95)::DOUBLE) AS left_knee_p95,
        round(quantile_cont(right_knee_deg, 0.05)::DOUBLE) AS right_knee_p5,
        round(avg(right_knee_deg)) AS right_knee_mean,
        round(quantile_cont(right_knee_deg, 0.95)::DOUBLE) AS right_knee_p95,
        round(quantile_cont(trunk_lean_deg, 0.05)::DOUBLE) AS lean_p5,
        round(avg(trunk_lean_deg)) AS lean_mean,
        round(quantile_cont(trunk_lean_deg, 0.95)::DOUBLE) AS lean_p95,
        round(quantile_cont(speed, 0.05)::DOUBLE, 2) AS speed_p5,
        round(avg(speed), 2) AS speed_mean,
        round(quantile_cont(speed, 0.95)::DOUBLE, 2) AS speed_p95
    FROM measured
    GROUP BY window_id
    HAVING least(count(left_knee_deg), count(right_knee_deg), count(trunk_lean_deg), count(speed)) * 2 >= count(*)
)
SELECT
    w.video_id,
    w.person,
    w.frame_start,
    w.frame_end,
    [
        {name: 'left_knee_deg', p5: s.left_knee_p5, mean: s.left_knee_mean, p95: s.left_knee_p95, decimals: 0},
        {name: 'right_knee_deg', p5: s.right_knee_p5, mean: s.right_knee_mean, p95: s.right_knee_p95, decimals: 0},
        {name: 'trunk_lean_deg', p5: s.lean_p5, mean: s.lean_mean, p95: s.lean_p95, decimals: 0},
        {name: 'center_speed_torso_per_sec', p5: s.speed_p5, mean: s.speed_mean, p95: s.speed_p95, decimals: 2}
    ] AS rows,
    s.lean_mean,
    s.lean_mean >= $lean_deg AS leans,
    s.lean_p5,
    s.lean_p95,
    s.lean_p95 - s.lean_p5 AS sway,
    sway >= $sway_deg AS sways,
    s.speed_mean,
    s.speed_mean >= $speed AS restless,
    CASE
        WHEN s.left_knee_mean > s.right_knee_mean THEN 'left'
        WHEN s.left_knee_mean < s.right_knee_mean THEN 'right'
    END AS standing_side,
    greatest(s.left_knee_mean, s.right_knee_mean) AS standing_knee_deg,
    standing_knee_deg < $knee_deg AS standing_knee_bent
FROM stances AS w
JOIN spreads AS s ON s.window_id = w.window_id
ORDER BY w.window_id;
