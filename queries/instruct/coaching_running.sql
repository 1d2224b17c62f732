-- Give coaching remarks on running, each of which follows from a limit that the prompt names.
--
-- The knee angle that one frame in twenty is below (p5) tells how far the leg folds in the swing.
--
-- recipe weight = 0.5
-- recipe window = 1 s, 1.5 s, 2 s
-- recipe rows = 30
-- recipe answer = text
-- param sports text = running,run,jogging,sprint,sprinting,treadmill,track : sports that these limits are for, with commas between
-- param lean_deg integer = 15 : the trunk leans too far from this mean on, in degrees
-- param elbow_deg integer = 110 : an elbow is carried too straight from this mean on, in degrees
-- param fold_deg integer = 110 : a knee folds too little in the swing where its p5 is at least this, in degrees
-- param uneven_deg integer = 15 : the knees fold unevenly where their p5 differ by this, in degrees
WITH runs AS (
    SELECT *
    FROM windows
    WHERE list_contains(string_split($sports, ','), lower(sport))
),
measured AS (
    SELECT
        w.window_id,
        m.left_knee_deg, m.right_knee_deg, m.left_elbow_deg, m.right_elbow_deg, m.trunk_lean_deg
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM runs) AS w
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
        round(quantile_cont(left_elbow_deg, 0.05)::DOUBLE) AS left_elbow_p5,
        round(avg(left_elbow_deg)) AS left_elbow_mean,
        round(quantile_cont(left_elbow_deg, 0.95)::DOUBLE) AS left_elbow_p95,
        round(quantile_cont(right_elbow_deg, 0.05)::DOUBLE) AS right_elbow_p5,
        round(avg(right_elbow_deg)) AS right_elbow_mean,
        round(quantile_cont(right_elbow_deg, 0.95)::DOUBLE) AS right_elbow_p95,
        round(quantile_cont(trunk_lean_deg, 0.05)::DOUBLE) AS lean_p5,
        round(avg(trunk_lean_deg)) AS lean_mean,
        round(quantile_cont(trunk_lean_deg, 0.95)::DOUBLE) AS lean_p95
    FROM measured
    GROUP BY window_id
    -- A value that was measured in a few frames alone says little about the stride.
    HAVING least(count(left_knee_deg), count(right_knee_deg), count(trunk_lean_deg)) * 2 >= count(*)
)
SELECT
    w.video_id,
    w.person,
    w.frame_start,
    w.frame_end,
    [
        {name: 'left_knee_deg', p5: s.left_knee_p5, mean: s.left_knee_mean, p95: s.left_knee_p95, decimals: 0},
        {name: 'right_knee_deg', p5: s.right_knee_p5, mean: s.right_knee_mean, p95: s.right_knee_p95, decimals: 0},
        {name: 'left_elbow_deg', p5: s.left_elbow_p5, mean: s.left_elbow_mean, p95: s.left_elbow_p95, decimals: 0},
        {name: 'right_elbow_deg', p5: s.right_elbow_p5, mean: s.right_elbow_mean, p95: s.right_elbow_p95, decimals: 0},
        {name: 'trunk_lean_deg', p5: s.lean_p5, mean: s.lean_mean, p95: s.lean_p95, decimals: 0}
    ] AS rows,
    s.lean_mean,
    s.lean_mean >= $lean_deg AS leans,
    [
        {side: 'left', fold_deg: s.left_knee_p5, folds_little: s.left_knee_p5 >= $fold_deg, elbow_deg: s.left_elbow_mean, elbow_straight: s.left_elbow_mean >= $elbow_deg},
        {side: 'right', fold_deg: s.right_knee_p5, folds_little: s.right_knee_p5 >= $fold_deg, elbow_deg: s.right_elbow_mean, elbow_straight: s.right_elbow_mean >= $elbow_deg}
    ] AS sides,
    abs(s.left_knee_p5 - s.right_knee_p5) AS fold_difference_deg,
    fold_difference_deg >= $uneven_deg AS uneven
FROM runs AS w
JOIN spreads AS s ON s.window_id = w.window_id
ORDER BY w.window_id;
