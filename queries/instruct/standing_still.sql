-- Detect when a person stops: the first of several rows in succession with almost no speed.
--
-- The speed is that of the middle of the hips in torso lengths per second, averaged from one shown
-- row to the next, so that a single noisy frame makes no stop.
--
-- recipe weight = 1
-- recipe window = 1 s, 1.2 s, 1.4 s, 1.6 s, 1.8 s, 2 s, 2.5 s
-- recipe rows = 8
-- recipe numbers = 2
-- param still_speed number = 0.5 : slower than this is still, in torso lengths per second
-- param still_rows integer = 3 : how many rows in succession have to be still
WITH spans AS (
    SELECT
        w.window_id,
        m.time_secs,
        -- The row that a frame belongs to: the frames since the shown one before, and itself.
        w.frame_start + ((m.frame - w.frame_start + w.step - 1) // w.step) * w.step AS row_frame,
        m.frame,
        m.center_speed_torso_per_sec::DOUBLE AS speed
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1)) AS frame FROM windows) AS w
    JOIN metrics AS m ON m.video_id = w.video_id AND m.person = w.person AND m.frame = w.frame
),
shown AS (
    SELECT
        window_id,
        row_frame,
        round(max(time_secs) FILTER (frame = row_frame), 2) AS time_secs,
        round(avg(speed), 2) AS speed
    FROM spans
    GROUP BY window_id, row_frame
),
followed AS (
    SELECT
        *,
        speed < $still_speed AS still,
        count(*) FILTER (speed < $still_speed) OVER next_rows = $still_rows AS stays_still
    FROM shown
    WHERE time_secs IS NOT NULL AND speed IS NOT NULL
    WINDOW next_rows AS (
        PARTITION BY window_id ORDER BY row_frame
        ROWS BETWEEN CURRENT ROW AND $still_rows - 1 FOLLOWING
    )
),
tables AS (
    SELECT
        window_id,
        list({time_secs: time_secs, cells: [speed]} ORDER BY row_frame) AS rows,
        min(time_secs) AS first_secs,
        min(time_secs) FILTER (stays_still) AS stop_secs,
        min(speed) AS smallest_speed,
        count(*) FILTER (still) AS still_rows
    FROM followed
    GROUP BY window_id
    HAVING count(*) >= 5
)
SELECT
    w.video_id,
    w.person,
    w.frame_start,
    w.frame_end,
    ['center_speed_torso_per_sec'] AS columns,
    t.rows,
    t.stop_secs,
    t.smallest_speed,
    CASE
        WHEN t.stop_secs = t.first_secs THEN 'from the start'
        WHEN t.stop_secs IS NOT NULL THEN 'stops'
        WHEN t.still_rows > 0 THEN 'too short'
        ELSE 'moves'
    END AS course
FROM windows AS w
JOIN tables AS t ON t.window_id = w.window_id
ORDER BY w.window_id;
