-- Give remarks on the evenness and calm of any movement, each of which follows from a limit in the prompt.
--
-- For sports that have no recipe of their own. The range of a joint goes from the fifth to the
-- ninety-fifth percentile of its angle.
--
-- recipe weight = 0.5
-- recipe window = 1 s, 1.5 s, 2 s
-- recipe rows = 30
-- recipe answer = text
-- param other_sports text = running,run,jogging,sprint,sprinting,treadmill,track,balance,balancing,standing,yoga,stability,rehab,physiotherapy,pilates : sports that have their own recipe, with commas between
-- param uneven_deg integer = 15 : left and right move unevenly where their ranges differ by this, in degrees
-- param lean_deg integer = 30 : the trunk leans far from this mean on, in degrees
-- param sway_deg integer = 15 : the trunk moves much from this spread of the lean on, in degrees
WITH asked AS (
    SELECT
        *,
        ['knee', 'hip', 'elbow', 'shoulder'][1 + (pick % 4)::INTEGER] AS joint
    FROM windows
    WHERE NOT list_contains(string_split($other_sports, ','), lower(sport))
),
measured AS (
    SELECT
        w.window_id,
        CASE w.joint
            WHEN 'knee' THEN m.left_knee_deg
            WHEN 'hip' THEN m.left_hip_deg
            WHEN 'elbow' THEN m.left_elbow_deg
            ELSE m.left_shoulder_deg
        END AS left_deg,
        CASE w.joint
            WHEN 'knee' THEN m.right_knee_deg
            WHEN 'hip' THEN m.right_hip_deg
            WHEN 'elbow' THEN m.right_elbow_deg
            ELSE m.right_shoulder_deg
        END AS right_deg,
        m.trunk_lean_deg
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM asked) AS w
    JOIN metrics AS m ON m.video_id = w.video_id AND m.person = w.person AND m.frame = w.frame
),
spreads AS (
    SELECT
        window_id,
        round(quantile_cont(left_deg, 0.05)::DOUBLE) AS left_p5,
        round(avg(left_deg)) AS left_mean,
        round(quantile_cont(left_deg, 0.95)::DOUBLE) AS left_p95,
        round(quantile_cont(right_deg, 0.05)::DOUBLE) AS right_p5,
        round(avg(right_deg)) AS right_mean,
        round(quantile_cont(right_deg, 0.95)::DOUBLE) AS right_p95,
        round(quantile_cont(trunk_lean_deg, 0.05)::DOUBLE) AS lean_p5,
        round(avg(trunk_lean_deg)) AS lean_mean,
        round(quantile_cont(trunk_lean_deg, 0.95)::DOUBLE) AS lean_p95
    FROM measured
    GROUP BY window_id
    HAVING least(count(left_deg), count(right_deg), count(trunk_lean_deg)) * 2 >= count(*)
)
SELECT
    w.video_id,
    w.person,
    w.frame_start,
    w.frame_end,
    w.joint,
    [
        {name: 'left_' || w.joint || '_deg', p5: s.left_p5, mean: s.left_mean, p95: s.left_p95, decimals: 0},
        {name: 'right_' || w.joint || '_deg', p5: s.right_p5, mean: s.right_mean, p95: s.right_p95, decimals: 0},
        {name: 'trunk_lean_deg', p5: s.lean_p5, mean: s.lean_mean, p95: s.lean_p95, decimals: 0}
    ] AS rows,
    s.left_p95 - s.left_p5 AS left_range_deg,
    s.right_p95 - s.right_p5 AS right_range_deg,
    abs(left_range_deg - right_range_deg) AS difference_deg,
    CASE
        WHEN difference_deg < $uneven_deg THEN 'even'
        WHEN left_range_deg > right_range_deg THEN 'right'
        ELSE 'left'
    END AS lagging_side,
    s.lean_mean,
    s.lean_mean >= $lean_deg AS leans,
    s.lean_p95 - s.lean_p5 AS sway_deg,
    sway_deg >= $sway_deg AS sways
FROM asked AS w
JOIN spreads AS s ON s.window_id = w.window_id
ORDER BY w.window_id;
