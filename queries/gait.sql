-- How does somebody walk or run?
--
-- Per video, person, kind and side: strides and their times, with the standard deviation. cadence
-- is both feet's: 120 / stride time, so steps per minute. Stance, swing, double support and flight
-- are parts of the stride in percent; distance is the way in all strides of the side, NULL where
-- the length of one is not known. `posedata events detect` finds the strides; a number is NULL where
-- the view or the scale does not carry it.
--
-- param video text = % : file name of the video, with SQL wildcards
-- param confidence number = 0 : strides with less confidence are left out, 0 to 1
WITH strides AS (
    SELECT *, end_secs - start_secs AS stride_secs
    FROM cycles
    WHERE kind IN ('walk', 'run') AND coalesce(confidence, 0) >= $confidence
)
SELECT
    v.file_name,
    s.person,
    s.kind,
    s.side,
    count(*) AS strides,
    round(120 / avg(s.stride_secs), 1) AS cadence_steps_per_min,
    round(avg(s.stride_secs), 3) AS stride_secs,
    round(stddev_samp(s.stride_secs), 3) AS stride_sd_secs,
    round(100 * stddev_samp(s.stride_secs) / avg(s.stride_secs), 1) AS stride_cv_percent,
    round(avg(s.step_secs), 3) AS step_secs,
    round(100 * avg(s.stance_secs / s.stride_secs), 1) AS stance_percent,
    round(100 * avg(s.swing_secs / s.stride_secs), 1) AS swing_percent,
    round(100 * avg(s.double_support_secs / s.stride_secs), 1) AS double_support_percent,
    round(100 * avg(s.flight_secs / s.stride_secs), 1) AS flight_percent,
    round(avg(s.stride_length_m), 2) AS stride_length_m,
    round(if(count(s.stride_length_m) = count(*), sum(s.stride_length_m), NULL), 2) AS distance_m,
    round(avg(s.speed_m_per_sec), 2) AS speed_m_per_sec,
    round(avg(s.confidence), 2) AS confidence
FROM strides AS s
JOIN videos AS v ON v.video_id = s.video_id
WHERE v.file_name LIKE $video
GROUP BY v.file_name, s.video_id, s.person, s.kind, s.side
ORDER BY v.file_name, s.video_id, s.person, s.kind, s.side;
