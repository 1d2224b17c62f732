-- Read the speed of the hips over a window: the fastest or slowest moment, or the average.
--
-- The average is that of the rows shown. Windows in which the asked extreme comes more than once
-- are left out. Further questions ask for the two that the first one did not ask for.
--
-- recipe weight = 2
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 4
-- recipe numbers = 1.5
WITH asked AS (
    SELECT
        *,
        ['fastest', 'slowest', 'average'][1 + (pick % 3)::INTEGER] AS question
    FROM windows
),
shown AS (
    SELECT
        a.window_id,
        m.frame,
        round(m.time_secs, 2) AS time_secs,
        round(m.center_speed_torso_per_sec::DOUBLE, 2) AS speed
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM asked) AS a
    JOIN metrics AS m ON m.video_id = a.video_id AND m.person = a.person AND m.frame = a.frame
    WHERE m.center_speed_torso_per_sec IS NOT NULL
),
tables AS (
    SELECT
        window_id,
        list({time_secs: time_secs, cells: [speed]} ORDER BY frame) AS rows,
        count(*) AS row_count,
        max(speed) AS fastest,
        min(speed) AS slowest,
        -- Hundredths are whole numbers: their sum is exactly that of the numbers shown.
        sum(round(100 * speed)) AS hundredths
    FROM shown
    GROUP BY window_id
    HAVING count(*) >= 3 AND count(DISTINCT time_secs) = count(*)
),
answered AS (
    SELECT
        a.*,
        t.*,
        if(a.question = 'slowest', t.slowest, t.fastest) AS extreme,
        [r FOR r IN t.rows IF r.cells[1] = extreme] AS extreme_rows
    FROM asked AS a
    JOIN tables AS t ON t.window_id = a.window_id
),
laid_out AS (
    SELECT
        *,
        hundredths / 100 AS total,
        round(hundredths / row_count) / 100 AS average,
        [r FOR r IN rows IF r.cells[1] = fastest] AS fastest_rows,
        [r FOR r IN rows IF r.cells[1] = slowest] AS slowest_rows
    FROM answered
)
SELECT
    video_id,
    person,
    frame_start,
    frame_end,
    ['center_speed_torso_per_sec'] AS columns,
    rows,
    question,
    row_count,
    hundredths::INTEGER AS hundredths,
    total,
    average,
    extreme,
    extreme_rows[1].time_secs AS time_secs,
    [
        q FOR q IN [
            {question: 'fastest', extreme: fastest, time_secs: fastest_rows[1].time_secs},
            {question: 'slowest', extreme: slowest, time_secs: slowest_rows[1].time_secs},
            {question: 'average', extreme: fastest, time_secs: fastest_rows[1].time_secs}
        ]
        IF q.question <> question
            AND (q.question <> 'fastest' OR len(fastest_rows) = 1)
            AND (q.question <> 'slowest' OR len(slowest_rows) = 1)
    ] AS more_questions
FROM laid_out
WHERE question = 'average' OR len(extreme_rows) = 1
ORDER BY window_id;
