-- Compare the left and the right side of a joint at one moment.
--
-- Whole degrees, so that the difference is that of the two numbers shown. The larger angle is the
-- straighter knee, hip or elbow, the foot that points down more, or the arm that is raised further.
-- Further questions ask for other moments.
--
-- recipe weight = 3
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 5
-- recipe numbers = 1.5
-- param alike_deg integer = 3 : sides that differ by less are called alike, in degrees
WITH asked AS (
    SELECT
        *,
        ['knee', 'hip', 'ankle', 'elbow', 'shoulder'][1 + (pick % 5)::INTEGER] AS joint,
        pick // 5 AS row_pick
    FROM windows
),
shown AS (
    SELECT
        a.window_id,
        m.frame,
        round(m.time_secs, 2) AS time_secs,
        round((CASE a.joint
            WHEN 'knee' THEN m.left_knee_deg
            WHEN 'hip' THEN m.left_hip_deg
            WHEN 'ankle' THEN m.left_ankle_deg
            WHEN 'elbow' THEN m.left_elbow_deg
            ELSE m.left_shoulder_deg
        END)::DOUBLE) AS left_deg,
        round((CASE a.joint
            WHEN 'knee' THEN m.right_knee_deg
            WHEN 'hip' THEN m.right_hip_deg
            WHEN 'ankle' THEN m.right_ankle_deg
            WHEN 'elbow' THEN m.right_elbow_deg
            ELSE m.right_shoulder_deg
        END)::DOUBLE) AS right_deg
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM asked) AS a
    JOIN metrics AS m ON m.video_id = a.video_id AND m.person = a.person AND m.frame = a.frame
),
tables AS (
    SELECT
        window_id,
        list({time_secs: time_secs, cells: [left_deg, right_deg]} ORDER BY frame) AS rows
    FROM shown
    GROUP BY window_id
    HAVING count(*) >= 3 AND count(DISTINCT time_secs) = count(*)
),
answered AS (
    SELECT
        a.*,
        t.rows,
        [r FOR r IN t.rows IF r.cells[1] IS NOT NULL AND r.cells[2] IS NOT NULL] AS known_rows,
        known_rows[1 + (a.row_pick % len(known_rows))::INTEGER] AS asked_row
    FROM asked AS a
    JOIN tables AS t ON t.window_id = a.window_id
    WHERE len(known_rows) > 0
),
moments AS (
    SELECT
        *,
        [
            {
                time_secs: r.time_secs,
                left_deg: r.cells[1],
                right_deg: r.cells[2],
                difference_deg: abs(r.cells[1] - r.cells[2]),
                alike: abs(r.cells[1] - r.cells[2]) < $alike_deg,
                larger_side: if(r.cells[1] > r.cells[2], 'left', 'right')
            }
            FOR r IN known_rows
            IF r.time_secs <> (asked_row).time_secs
        ] AS other_moments,
        len(other_moments) AS others
    FROM answered
)
SELECT
    video_id,
    person,
    frame_start,
    frame_end,
    joint,
    ['left_' || joint || '_deg', 'right_' || joint || '_deg'] AS columns,
    rows,
    (asked_row).time_secs AS time_secs,
    (asked_row).cells[1] AS left_deg,
    (asked_row).cells[2] AS right_deg,
    abs(left_deg - right_deg) AS difference_deg,
    difference_deg < $alike_deg AS alike,
    if(left_deg > right_deg, 'left', 'right') AS larger_side,
    [
        other_moments[1 + ((row_pick // 7 + i * (1 + (row_pick // 70) % greatest(others - 1, 1))) % others)::INTEGER]
        FOR i IN range(least(others, 2))
    ] AS more_questions
FROM moments
ORDER BY window_id;
