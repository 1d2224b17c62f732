-- How fast does a landmark move, frame by frame?
--
-- One row per video, person and frame. Speed is the way since the frame before over the true time
-- between the two frames, in pixels and in torso lengths (shoulder middle to hip middle) per
-- second; NULL in the first frame and after a frame without a pose.
--
-- param landmark text = left_hip : name of a landmark, such as left_wrist
-- param video text = % : file name of the video, with SQL wildcards
SELECT
    s.file_name,
    s.person,
    s.frame,
    round(s.time_secs, 3) AS time_secs,
    s.landmark,
    round(s.x_px, 1) AS x_px,
    round(s.y_px, 1) AS y_px,
    round(s.speed_px_per_sec, 1) AS speed_px_per_sec,
    round(s.speed_px_per_sec / m.torso_length_px, 2) AS speed_torso_per_sec,
    round(s.visibility, 2) AS visibility
FROM landmark_speed($landmark) AS s
JOIN metrics AS m
    ON m.video_id = s.video_id AND m.person = s.person AND m.frame = s.frame
WHERE s.file_name LIKE $video
ORDER BY s.file_name, s.video_id, s.person, s.frame;
