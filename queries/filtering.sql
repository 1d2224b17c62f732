-- What did filtering change? (Run `posedata metrics recompute` first.)
--
-- Per video, person and landmark: positions in landmarks_filtered, how many of them fill gaps, how
-- far the filter moved the measured ones (root mean square, pixels), and the jitter before and
-- after: the mean size of the second difference from frame to frame, pixels, of frames without a
-- pause of the recording between them.
--
-- param video text = % : file name of the video, with SQL wildcards
WITH paths AS (
    SELECT
        v.file_name, f.video_id, f.person, f.landmark, f.landmark_index, f.frame, f.time_secs, f.interpolated,
        f.cutoff_hz,
        f.x::DOUBLE * v.width_px AS x_px,
        f.y::DOUBLE * v.height_px AS y_px,
        if(f.interpolated, NULL, l.x::DOUBLE * v.width_px) AS raw_x_px,
        if(f.interpolated, NULL, l.y::DOUBLE * v.height_px) AS raw_y_px
    FROM landmarks_filtered AS f
    JOIN videos AS v ON v.video_id = f.video_id
    LEFT JOIN landmarks AS l
        ON l.video_id = f.video_id AND l.person = f.person AND l.frame = f.frame
        AND l.landmark = f.landmark
    WHERE v.file_name LIKE $video
),
bends AS (
    SELECT
        *,
        lag(frame, 2) OVER path = frame - 2
            AND greatest(time_secs - lag(time_secs) OVER path, lag(time_secs) OVER path - lag(time_secs, 2) OVER path)
            <= greatest(
                5 * least(time_secs - lag(time_secs) OVER path, lag(time_secs) OVER path - lag(time_secs, 2) OVER path),
                0.1
            ) AS is_whole,
        x_px - 2 * lag(x_px) OVER path + lag(x_px, 2) OVER path AS bend_x_px,
        y_px - 2 * lag(y_px) OVER path + lag(y_px, 2) OVER path AS bend_y_px,
        raw_x_px - 2 * lag(raw_x_px) OVER path + lag(raw_x_px, 2) OVER path AS raw_bend_x_px,
        raw_y_px - 2 * lag(raw_y_px) OVER path + lag(raw_y_px, 2) OVER path AS raw_bend_y_px
    FROM paths
    WINDOW path AS (PARTITION BY video_id, person, landmark ORDER BY frame)
)
SELECT
    file_name,
    person,
    landmark,
    any_value(cutoff_hz) AS cutoff_hz,
    count(*) AS positions,
    count(*) FILTER (interpolated) AS interpolated,
    count(*) FILTER (cutoff_hz IS NULL) AS unfiltered,
    round(sqrt(avg((x_px - raw_x_px) ** 2 + (y_px - raw_y_px) ** 2)), 2) AS moved_rms_px,
    round(avg(sqrt(raw_bend_x_px ** 2 + raw_bend_y_px ** 2)) FILTER (is_whole), 2) AS jitter_before_px,
    round(avg(sqrt(bend_x_px ** 2 + bend_y_px ** 2)) FILTER (is_whole), 2) AS jitter_after_px
FROM bends
GROUP BY file_name, video_id, person, landmark
ORDER BY file_name, video_id, person, min(landmark_index);
