-- Give the range of motion of a joint over a window.
--
-- Whole degrees, so that the range is the difference of the two numbers shown.
--
-- recipe weight = 2
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 6
-- recipe numbers = 2.5
WITH asked AS (
    SELECT
        *,
        [
            'left_knee', 'right_knee', 'left_hip', 'right_hip', 'left_ankle', 'right_ankle',
            'left_elbow', 'right_elbow', 'left_shoulder', 'right_shoulder'
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
            WHEN 'left_hip' THEN m.left_hip_deg
            WHEN 'right_hip' THEN m.right_hip_deg
            WHEN 'left_ankle' THEN m.left_ankle_deg
            WHEN 'right_ankle' THEN m.right_ankle_deg
            WHEN 'left_elbow' THEN m.left_elbow_deg
            WHEN 'right_elbow' THEN m.right_elbow_deg
            WHEN 'left_shoulder' THEN m.left_shoulder_deg
            ELSE m.right_shoulder_deg
        END)::DOUBLE) AS angle_deg
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM asked) AS a
    JOIN metrics AS m ON m.video_id = a.video_id AND m.person = a.person AND m.frame = a.frame
),
tables AS (
    SELECT
        window_id,
        list({time_secs: time_secs, cells: [angle_deg]} ORDER BY frame) AS rows,
        min(angle_deg) AS smallest_deg,
        max(angle_deg) AS largest_deg
    FROM shown
    GROUP BY window_id
    HAVING count(angle_deg) >= 4 AND count(DISTINCT time_secs) = count(*)
)
SELECT
    a.video_id,
    a.person,
    a.frame_start,
    a.frame_end,
    [a.joint_name || '_deg'] AS columns,
    replace(a.joint_name, '_', ' ') AS joint,
    t.rows,
    t.smallest_deg,
    t.largest_deg,
    t.largest_deg - t.smallest_deg AS range_deg
FROM asked AS a
JOIN tables AS t ON t.window_id = a.window_id
ORDER BY a.window_id;
