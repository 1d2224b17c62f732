-- Compare two numbers, row by row: the two sides of a joint, or one of them with a limit.
--
-- The limit is a multiple of 5 deg near the middle of the shown values.
--
-- recipe numbers = 0.4
-- recipe primitive = yes
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 5
-- recipe answer = number
-- recipe ask = no
WITH asked AS (
    SELECT
        *,
        ['knee', 'hip', 'ankle', 'elbow', 'shoulder'][1 + (pick % 5)::INTEGER] AS joint,
        1 + ((pick // 5) % 2)::INTEGER AS limited_column,
        if((pick // 10) % 2 = 0, 'below', 'above') AS side,
        if((pick // 20) % 2 = 0, 'sides', 'limit') AS kind
    FROM windows
),
shown AS (
    SELECT
        a.window_id,
        m.frame,
        round(m.time_secs, 2) AS time_secs,
        [
            round((CASE a.joint
                WHEN 'knee' THEN m.left_knee_deg
                WHEN 'hip' THEN m.left_hip_deg
                WHEN 'ankle' THEN m.left_ankle_deg
                WHEN 'elbow' THEN m.left_elbow_deg
                ELSE m.left_shoulder_deg
            END)::DOUBLE, 1),
            round((CASE a.joint
                WHEN 'knee' THEN m.right_knee_deg
                WHEN 'hip' THEN m.right_hip_deg
                WHEN 'ankle' THEN m.right_ankle_deg
                WHEN 'elbow' THEN m.right_elbow_deg
                ELSE m.right_shoulder_deg
            END)::DOUBLE, 1)
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
        AND count(cells[1]) = count(*) AND count(cells[2]) = count(*)
),
limited AS (
    SELECT
        a.*,
        t.rows,
        [r.cells[a.limited_column] FOR r IN t.rows] AS angles_deg,
        (5 * round((list_min(angles_deg) + list_max(angles_deg)) / 10))::INTEGER AS limit_deg
    FROM asked AS a
    JOIN tables AS t ON t.window_id = a.window_id
)
SELECT
    video_id,
    person,
    frame_start,
    frame_end,
    ['left_' || joint || '_deg', 'right_' || joint || '_deg'] AS columns,
    rows,
    kind,
    side,
    limit_deg,
    limited_column,
    [{kind: if(kind = 'sides', 'limit', 'sides')}] AS more_questions
FROM limited
ORDER BY window_id;
