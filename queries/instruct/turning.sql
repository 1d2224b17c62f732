-- Detect whether the person turns round, and between which moments.
--
-- A turn is a change of the side of the picture that the person faces, with some rows facing each
-- way. Where the shoulders are broad in every row, the person is seen from the front or the back,
-- and the side says nothing. Of windows without a change only some are taken, or they would drown
-- the others.
--
-- recipe weight = 1
-- recipe window = 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 8
-- param broad_shoulders number = 0.5 : shoulder width that shows a front or back view, in torso lengths
-- param steady_rows integer = 2 : rows that have to face each way, before and after a turn
-- param steady_share integer = 5 : one in so many windows without a change is taken
WITH shown AS (
    SELECT
        w.window_id,
        m.frame,
        round(m.time_secs, 2) AS time_secs,
        m.facing,
        round(m.shoulder_width_torso::DOUBLE, 2) AS shoulder_width_torso
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM windows) AS w
    JOIN metrics AS m ON m.video_id = w.video_id AND m.person = w.person AND m.frame = w.frame
    WHERE m.facing IS NOT NULL AND m.shoulder_width_torso IS NOT NULL
),
followed AS (
    SELECT
        *,
        lag(facing) OVER earlier AS facing_before,
        lag(time_secs) OVER earlier AS secs_before,
        row_number() OVER earlier AS row_number
    FROM shown
    WINDOW earlier AS (PARTITION BY window_id ORDER BY frame)
),
tables AS (
    SELECT
        window_id,
        list(
            {time_secs: time_secs, facing: facing, shoulder_width_torso: shoulder_width_torso}
            ORDER BY frame
        ) AS rows,
        min(shoulder_width_torso) AS narrowest,
        count(*) FILTER (facing <> facing_before) AS changes,
        min(row_number) FILTER (facing <> facing_before) - 1 AS rows_before,
        count(*) - rows_before AS rows_after,
        min(secs_before) FILTER (facing <> facing_before) AS from_secs,
        min(time_secs) FILTER (facing <> facing_before) AS to_secs
    FROM followed
    GROUP BY window_id
    HAVING count(*) >= 4 AND count(DISTINCT time_secs) = count(*)
)
SELECT
    w.video_id,
    w.person,
    w.frame_start,
    w.frame_end,
    t.rows,
    CASE
        WHEN t.narrowest >= $broad_shoulders THEN 'front or back'
        WHEN t.changes = 0 THEN 'none'
        WHEN t.changes = 1 AND least(t.rows_before, t.rows_after) >= $steady_rows THEN 'turn'
        ELSE 'unsteady'
    END AS course,
    t.narrowest,
    t.from_secs,
    t.to_secs,
    t.rows[1].facing AS facing_first,
    if(facing_first = 'left', 'right', 'left') AS facing_after
FROM windows AS w
JOIN tables AS t ON t.window_id = w.window_id
WHERE course IN ('turn', 'unsteady') OR w.pick % $steady_share = 0
ORDER BY w.window_id;
