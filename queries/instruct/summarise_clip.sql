-- Summarise a whole clip: how much of it could be measured, and how joints, trunk and hips move.
--
-- Most means nine frames in ten, from the fifth to the ninety-fifth percentile, so that a few wrong
-- frames do not make the range.
--
-- recipe weight = 1
-- recipe window = clip
-- recipe answer = text
-- param upright_deg integer = 15 : a trunk that leans less nearly all the time is upright, in degrees
-- param alike_deg integer = 10 : ranges of left and right that differ by less are alike, in degrees
WITH asked AS (
    SELECT
        *,
        ['knee', 'hip', 'elbow', 'shoulder'][1 + (pick % 4)::INTEGER] AS joint
    FROM windows
),
measured AS (
    SELECT
        a.window_id,
        m.time_secs,
        m.mean_visibility,
        CASE a.joint
            WHEN 'knee' THEN m.left_knee_deg
            WHEN 'hip' THEN m.left_hip_deg
            WHEN 'elbow' THEN m.left_elbow_deg
            ELSE m.left_shoulder_deg
        END AS left_deg,
        CASE a.joint
            WHEN 'knee' THEN m.right_knee_deg
            WHEN 'hip' THEN m.right_hip_deg
            WHEN 'elbow' THEN m.right_elbow_deg
            ELSE m.right_shoulder_deg
        END AS right_deg,
        m.trunk_lean_deg,
        m.center_speed_torso_per_sec AS speed
    FROM asked AS a
    JOIN metrics AS m
        ON m.video_id = a.video_id AND m.person = a.person
        AND m.frame BETWEEN a.frame_start AND a.frame_end
),
spreads AS (
    SELECT
        window_id,
        round(min(time_secs), 2) AS from_secs,
        round(max(time_secs), 2) AS to_secs,
        count(mean_visibility) AS pose_frames,
        round(quantile_cont(left_deg, 0.05)::DOUBLE) AS left_p5,
        round(avg(left_deg)) AS left_mean,
        round(quantile_cont(left_deg, 0.95)::DOUBLE) AS left_p95,
        round(quantile_cont(right_deg, 0.05)::DOUBLE) AS right_p5,
        round(avg(right_deg)) AS right_mean,
        round(quantile_cont(right_deg, 0.95)::DOUBLE) AS right_p95,
        round(quantile_cont(trunk_lean_deg, 0.05)::DOUBLE) AS lean_p5,
        round(avg(trunk_lean_deg)) AS lean_mean,
        round(quantile_cont(trunk_lean_deg, 0.95)::DOUBLE) AS lean_p95,
        round(quantile_cont(speed, 0.05)::DOUBLE, 2) AS speed_p5,
        round(avg(speed), 2) AS speed_mean,
        round(quantile_cont(speed, 0.95)::DOUBLE, 2) AS speed_p95
    FROM measured
    GROUP BY window_id
    HAVING count(left_deg) > 0 AND count(right_deg) > 0 AND count(speed) > 0
)
SELECT
    a.video_id,
    a.person,
    a.frame_start,
    a.frame_end,
    a.joint,
    [
        {name: 'left_' || a.joint || '_deg', p5: s.left_p5, mean: s.left_mean, p95: s.left_p95, decimals: 0},
        {name: 'right_' || a.joint || '_deg', p5: s.right_p5, mean: s.right_mean, p95: s.right_p95, decimals: 0},
        {name: 'trunk_lean_deg', p5: s.lean_p5, mean: s.lean_mean, p95: s.lean_p95, decimals: 0},
        {
            name: 'center_speed_torso_per_sec',
            p5: s.speed_p5, mean: s.speed_mean, p95: s.speed_p95, decimals: 2
        }
    ] AS rows,
    s.* EXCLUDE (window_id, left_mean, right_mean, speed_p5, speed_p95),
    a.frame_end - a.frame_start + 1 AS frames,
    s.left_p95 - s.left_p5 AS left_range_deg,
    s.right_p95 - s.right_p5 AS right_range_deg,
    CASE
        WHEN abs(left_range_deg - right_range_deg) < $alike_deg THEN 'alike'
        WHEN left_range_deg > right_range_deg THEN 'left'
        ELSE 'right'
    END AS wider_side,
    s.lean_p95 < $upright_deg AS upright
FROM asked AS a
JOIN spreads AS s ON s.window_id = a.window_id
ORDER BY a.window_id;
