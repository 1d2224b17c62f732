-- How are the joints bent over time?
--
-- Mean angles per window of time, degrees, 180 = straight (schemas/metrics.sql names each angle's
-- three points); NULL where the joint was never visible in the window.
--
-- param window_secs number = 0.5 : length of a window in seconds
-- param video text = % : file name of the video, with SQL wildcards
SELECT
    v.file_name,
    m.person,
    -- A frame at a window's beginning belongs to it, however its time is rounded.
    round(floor(m.time_secs / $window_secs + 1e-6) * $window_secs, 6) AS from_secs,
    count(m.mean_visibility) AS pose_frames,
    round(avg(m.left_knee_deg), 1) AS left_knee_deg,
    round(avg(m.right_knee_deg), 1) AS right_knee_deg,
    round(avg(m.left_hip_deg), 1) AS left_hip_deg,
    round(avg(m.right_hip_deg), 1) AS right_hip_deg,
    round(avg(m.left_ankle_deg), 1) AS left_ankle_deg,
    round(avg(m.right_ankle_deg), 1) AS right_ankle_deg,
    round(avg(m.left_elbow_deg), 1) AS left_elbow_deg,
    round(avg(m.right_elbow_deg), 1) AS right_elbow_deg,
    round(avg(m.left_shoulder_deg), 1) AS left_shoulder_deg,
    round(avg(m.right_shoulder_deg), 1) AS right_shoulder_deg,
    round(avg(m.trunk_lean_deg), 1) AS trunk_lean_deg
FROM metrics AS m
JOIN videos AS v ON v.video_id = m.video_id
WHERE v.file_name LIKE $video
GROUP BY v.file_name, m.video_id, m.person, from_secs
ORDER BY v.file_name, m.video_id, m.person, from_secs;
