-- Tell at which moments a value was not measured.
--
-- An angle is missing where a landmark that it needs was not visible. Of windows that miss nothing
-- only some are taken, or they would drown the others.
--
-- recipe weight = 1
-- recipe window = 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 8
-- recipe answer = list
-- param whole_share integer = 6 : one in so many windows without a missing value is taken
WITH asked AS (
    SELECT
        *,
        [
            'left_knee', 'right_knee', 'left_ankle', 'right_ankle', 'left_elbow', 'right_elbow',
            'left_shoulder', 'right_shoulder', 'left_wrist', 'right_wrist'
        ][1 + (pick % 10)::INTEGER] AS joint_name
    FROM windows
),
shown AS (
    SELECT
        a.window_id,
        m.frame,
        round(m.time_secs, 2) AS time_secs,
        round((CASE a.joint_name
            WHEN 'left_knee' THEN m.left_knee_deg
            WHEN 'right_knee' THEN m.right_knee_deg
            WHEN 'left_ankle' THEN m.left_ankle_deg
            WHEN 'right_ankle' THEN m.right_ankle_deg
            WHEN 'left_elbow' THEN m.left_elbow_deg
            WHEN 'right_elbow' THEN m.right_elbow_deg
            WHEN 'left_shoulder' THEN m.left_shoulder_deg
            WHEN 'right_shoulder' THEN m.right_shoulder_deg
            WHEN 'left_wrist' THEN m.left_wrist_deg
            ELSE m.right_wrist_deg
        END)::DOUBLE) AS angle_deg
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM asked) AS a
    JOIN metrics AS m ON m.video_id = a.video_id AND m.person = a.person AND m.frame = a.frame
),
tables AS (
    SELECT
        window_id,
        list({time_secs: time_secs, cells: [angle_deg]} ORDER BY frame) AS rows,
        list(time_secs ORDER BY frame) FILTER (angle_deg IS NULL) AS missing_secs,
        count(angle_deg) AS measured_rows
    FROM shown
    GROUP BY window_id
    HAVING count(*) >= 3 AND count(DISTINCT time_secs) = count(*)
)
SELECT
    a.video_id,
    a.person,
    a.frame_start,
    a.frame_end,
    [a.joint_name || '_deg'] AS columns,
    replace(a.joint_name, '_', ' ') AS joint,
    t.rows,
    coalesce(t.missing_secs, []) AS missing_secs,
    t.measured_rows
FROM asked AS a
JOIN tables AS t ON t.window_id = a.window_id
WHERE t.missing_secs IS NOT NULL OR (a.pick // 10) % $whole_share = 0
ORDER BY a.window_id;
