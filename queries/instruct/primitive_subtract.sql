-- Subtract two numbers, row by row: the difference of the two sides of a joint.
--
-- Whole degrees, so that each difference is that of the two numbers shown.
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
        ['knee', 'hip', 'ankle', 'elbow', 'shoulder'][1 + (pick % 5)::INTEGER] AS joint
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
            END)::DOUBLE),
            round((CASE a.joint
                WHEN 'knee' THEN m.right_knee_deg
                WHEN 'hip' THEN m.right_hip_deg
                WHEN 'ankle' THEN m.right_ankle_deg
                WHEN 'elbow' THEN m.right_elbow_deg
                ELSE m.right_shoulder_deg
            END)::DOUBLE)
        ] AS cells
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM asked) AS a
    JOIN metrics AS m ON m.video_id = a.video_id AND m.person = a.person AND m.frame = a.frame
),
tables AS (
    SELECT
        window_id,
        list({time_secs: time_secs, cells: cells} ORDER BY frame) AS rows,
        list(abs(cells[1] - cells[2]) ORDER BY frame) AS differences_deg
    FROM shown
    GROUP BY window_id
    HAVING count(*) >= 3 AND count(DISTINCT time_secs) = count(*)
        AND count(cells[1]) = count(*) AND count(cells[2]) = count(*)
)
SELECT
    a.video_id,
    a.person,
    a.frame_start,
    a.frame_end,
    ['left_' || a.joint || '_deg', 'right_' || a.joint || '_deg'] AS columns,
    a.joint,
    t.rows,
    t.differences_deg
FROM asked AS a
JOIN tables AS t ON t.window_id = a.window_id
ORDER BY a.window_id;
