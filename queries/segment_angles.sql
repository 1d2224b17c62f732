-- How do the segments of the body lean against the horizontal over time?
--
-- Mean angles per window of time, degrees, as Sports2D and Pose2Sim define them: measured in the
-- picture from the horizontal straight ahead, positive upward (schemas/metrics.sql). Upright are 90
-- for trunk and head, -90 for thigh and shank, 0 for the foot. NULL where the segment was never
-- visible in the window, and where its angle goes through the range's end (180 degrees, of pelvis and
-- shoulders 90), as a mean would be wrong there.
--
-- param window_secs number = 0.5 : length of a window in seconds
-- param video text = % : file name of the video, with SQL wildcards
SELECT
    v.file_name,
    m.person,
    -- A frame at a window's beginning belongs to it, however its time is rounded.
    round(floor(m.time_secs / $window_secs + 1e-6) * $window_secs, 6) AS from_secs,
    mode(m.facing) AS facing,
    round(if(max(m.trunk_segment_deg) - min(m.trunk_segment_deg) > 180, NULL, avg(m.trunk_segment_deg)), 1) AS trunk_deg,
    round(if(max(m.head_segment_deg) - min(m.head_segment_deg) > 180, NULL, avg(m.head_segment_deg)), 1) AS head_deg,
    round(if(max(m.left_thigh_segment_deg) - min(m.left_thigh_segment_deg) > 180, NULL, avg(m.left_thigh_segment_deg)), 1) AS left_thigh_deg,
    round(if(max(m.right_thigh_segment_deg) - min(m.right_thigh_segment_deg) > 180, NULL, avg(m.right_thigh_segment_deg)), 1) AS right_thigh_deg,
    round(if(max(m.left_shank_segment_deg) - min(m.left_shank_segment_deg) > 180, NULL, avg(m.left_shank_segment_deg)), 1) AS left_shank_deg,
    round(if(max(m.right_shank_segment_deg) - min(m.right_shank_segment_deg) > 180, NULL, avg(m.right_shank_segment_deg)), 1) AS right_shank_deg,
    round(if(max(m.left_foot_segment_deg) - min(m.left_foot_segment_deg) > 180, NULL, avg(m.left_foot_segment_deg)), 1) AS left_foot_deg,
    round(if(max(m.right_foot_segment_deg) - min(m.right_foot_segment_deg) > 180, NULL, avg(m.right_foot_segment_deg)), 1) AS right_foot_deg,
    round(if(max(m.pelvis_segment_deg) - min(m.pelvis_segment_deg) > 90, NULL, avg(m.pelvis_segment_deg)), 1) AS pelvis_deg,
    round(if(max(m.shoulders_segment_deg) - min(m.shoulders_segment_deg) > 90, NULL, avg(m.shoulders_segment_deg)), 1) AS shoulders_deg
FROM metrics AS m
JOIN videos AS v ON v.video_id = m.video_id
WHERE v.file_name LIKE $video
GROUP BY v.file_name, m.video_id, m.person, from_secs
ORDER BY v.file_name, m.video_id, m.person, from_secs;
