-- Do left and right strides take alike?
--
-- Per video, person and kind: means of both sides' strides, their difference (left - right), ratio
-- (left / right), and the symmetry index 100 * (left - right) / (0.5 * (left + right)) in percent
-- (Robinson, Herzog, Nigg 1987): 0 = alike, positive = the left one is larger; 10 % are often taken
-- for the limit of what is normal.
--
-- param video text = % : file name of the video, with SQL wildcards
WITH numbers AS (
    UNPIVOT (
        SELECT
            video_id, person, kind, side,
            end_secs - start_secs AS stride_secs,
            step_secs, stance_secs, swing_secs, stride_length_m
        FROM cycles
        WHERE kind IN ('walk', 'run')
    )
    ON stride_secs, step_secs, stance_secs, swing_secs, stride_length_m
    INTO NAME quantity VALUE value
),
sides AS (
    SELECT
        video_id, person, kind, quantity,
        count(*) FILTER (side = 'left') AS left_strides,
        count(*) FILTER (side = 'right') AS right_strides,
        avg(value) FILTER (side = 'left') AS left_mean,
        avg(value) FILTER (side = 'right') AS right_mean
    FROM numbers
    GROUP BY ALL
)
SELECT
    v.file_name,
    s.person,
    s.kind,
    s.quantity,
    s.left_strides,
    s.right_strides,
    round(s.left_mean, 3) AS left_mean,
    round(s.right_mean, 3) AS right_mean,
    round(s.left_mean - s.right_mean, 3) AS difference,
    round(s.left_mean / nullif(s.right_mean, 0), 3) AS ratio,
    round(100 * (s.left_mean - s.right_mean) / nullif(0.5 * (s.left_mean + s.right_mean), 0), 1)
        AS symmetry_index_percent
FROM sides AS s
JOIN videos AS v ON v.video_id = s.video_id
WHERE v.file_name LIKE $video
ORDER BY v.file_name, s.video_id, s.person, s.kind, s.quantity;
