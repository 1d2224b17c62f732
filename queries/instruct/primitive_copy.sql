-- Copy one column of a table, row by row.
--
-- Two or three angles over a window; further questions ask for the other columns.
--
-- recipe numbers = 0.2
-- recipe primitive = yes
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 5
-- recipe answer = number
-- recipe ask = no
WITH asked AS (
    SELECT
        *,
        -- 13 is prime, so that steps of any length through the list meet different angles.
        [1 + ((pick % 13)::INTEGER + i * (1 + ((pick // 13) % 12)::INTEGER)) % 13 FOR i IN range(column_count)] AS angle_numbers
    FROM (SELECT *, 2 + ((pick // 156) % 2)::INTEGER AS column_count FROM windows)
),
shown AS (
    SELECT
        a.window_id,
        m.frame,
        round(m.time_secs, 2) AS time_secs,
        [
            round([
                m.left_knee_deg, m.right_knee_deg, m.left_hip_deg, m.right_hip_deg,
                m.left_ankle_deg, m.right_ankle_deg, m.left_elbow_deg, m.right_elbow_deg,
                m.left_shoulder_deg, m.right_shoulder_deg, m.left_wrist_deg, m.right_wrist_deg,
                m.trunk_lean_deg
            ][n]::DOUBLE, 1)
            FOR n IN a.angle_numbers
        ] AS cells
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM asked) AS a
    JOIN metrics AS m ON m.video_id = a.video_id AND m.person = a.person AND m.frame = a.frame
),
tables AS (
    SELECT
        window_id,
        list({time_secs: time_secs, cells: cells} ORDER BY frame) AS rows
    FROM shown
    GROUP BY window_id
    HAVING count(*) >= 3 AND count(DISTINCT time_secs) = count(*)
)
SELECT
    a.video_id,
    a.person,
    a.frame_start,
    a.frame_end,
    [
        [
            'left_knee_deg', 'right_knee_deg', 'left_hip_deg', 'right_hip_deg',
            'left_ankle_deg', 'right_ankle_deg', 'left_elbow_deg', 'right_elbow_deg',
            'left_shoulder_deg', 'right_shoulder_deg', 'left_wrist_deg', 'right_wrist_deg',
            'trunk_lean_deg'
        ][n]
        FOR n IN a.angle_numbers
    ] AS columns,
    t.rows,
    1 AS asked_column,
    [{asked_column: c} FOR c IN range(2, a.column_count + 1)] AS more_questions
FROM asked AS a
JOIN tables AS t ON t.window_id = a.window_id
-- A column without a number has nothing to copy.
WHERE len([c FOR c IN range(1, a.column_count + 1) IF len([r FOR r IN t.rows IF r.cells[c] IS NOT NULL]) = 0]) = 0
ORDER BY a.window_id;
