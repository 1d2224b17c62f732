-- How far does each joint move?
--
-- Per video, person and joint angle: the smallest and the largest angle, and when each occurs first.
-- The outermost percent at both ends is left out, so that a single wrong frame does not make the
-- range; range_deg is the difference between the two.
--
-- param outliers_percent number = 1 : part of the frames to leave out at each end, 0 to 49
-- param video text = % : file name of the video, with SQL wildcards
WITH angles AS (
    UNPIVOT (
        SELECT
            video_id, person, time_secs,
            left_knee_deg, right_knee_deg, left_hip_deg, right_hip_deg, left_ankle_deg, right_ankle_deg,
            left_elbow_deg, right_elbow_deg, left_shoulder_deg, right_shoulder_deg,
            left_wrist_deg, right_wrist_deg, trunk_lean_deg
        FROM metrics
    )
    ON COLUMNS('_deg$')
    INTO NAME angle VALUE angle_deg
),
ranked AS (
    SELECT
        *,
        quantile_cont(angle_deg, $outliers_percent / 100.0) OVER joint AS low_deg,
        quantile_cont(angle_deg, 1 - $outliers_percent / 100.0) OVER joint AS high_deg
    FROM angles
    WINDOW joint AS (PARTITION BY video_id, person, angle)
)
SELECT
    v.file_name,
    r.person,
    r.angle,
    count(*) AS frames,
    round(min(r.angle_deg), 1) AS min_deg,
    round(arg_min(r.time_secs, (r.angle_deg, r.time_secs)), 2) AS min_at_secs,
    round(max(r.angle_deg), 1) AS max_deg,
    round(arg_max(r.time_secs, (r.angle_deg, -r.time_secs)), 2) AS max_at_secs,
    round(max(r.angle_deg) - min(r.angle_deg), 1) AS range_deg
FROM ranked AS r
JOIN videos AS v ON v.video_id = r.video_id
WHERE r.angle_deg BETWEEN r.low_deg AND r.high_deg AND v.file_name LIKE $video
GROUP BY v.file_name, r.video_id, r.person, r.angle
ORDER BY v.file_name, r.video_id, r.person, range_deg DESC, r.angle;
