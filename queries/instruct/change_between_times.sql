-- Tell by how much an angle grows or shrinks from one moment to another.
--
-- Whole degrees, so that the change is the difference of the two numbers shown. Further questions
-- ask for other pairs of moments.
--
-- recipe weight = 2
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 5
-- recipe numbers = 1.5
WITH asked AS (
    SELECT
        *,
        [
            'left_knee', 'right_knee', 'left_hip', 'right_hip', 'left_elbow', 'right_elbow',
            'left_shoulder', 'right_shoulder', 'trunk_lean'
        ][1 + (pick % 9)::INTEGER] AS angle_name,
        if(angle_name = 'trunk_lean', 'trunk lean', replace(angle_name, '_', ' ') || ' angle') AS angle,
        pick // 9 AS row_pick
    FROM windows
),
shown AS (
    SELECT
        a.window_id,
        m.frame,
        round(m.time_secs, 2) AS time_secs,
        round((CASE a.angle_name
            WHEN 'left_knee' THEN m.left_knee_deg
            WHEN 'right_knee' THEN m.right_knee_deg
            WHEN 'left_hip' THEN m.left_hip_deg
            WHEN 'right_hip' THEN m.right_hip_deg
            WHEN 'left_elbow' THEN m.left_elbow_deg
            WHEN 'right_elbow' THEN m.right_elbow_deg
            WHEN 'left_shoulder' THEN m.left_shoulder_deg
            WHEN 'right_shoulder' THEN m.right_shoulder_deg
            ELSE m.trunk_lean_deg
        END)::DOUBLE) AS angle_deg
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM asked) AS a
    JOIN metrics AS m ON m.video_id = a.video_id AND m.person = a.person AND m.frame = a.frame
),
tables AS (
    SELECT
        window_id,
        list({time_secs: time_secs, cells: [angle_deg]} ORDER BY frame) AS rows
    FROM shown
    GROUP BY window_id
    HAVING count(angle_deg) >= 3 AND count(DISTINCT time_secs) = count(*)
),
answered AS (
    SELECT
        a.*,
        t.rows,
        [r FOR r IN t.rows IF r.cells[1] IS NOT NULL] AS known_rows,
        1 + (a.row_pick % (len(known_rows) - 1))::INTEGER AS from_number,
        from_number + 1 + ((a.row_pick // 60) % (len(known_rows) - from_number))::INTEGER AS to_number,
        known_rows[from_number] AS from_row,
        known_rows[to_number] AS to_row
    FROM asked AS a
    JOIN tables AS t ON t.window_id = a.window_id
),
pairs AS (
    SELECT
        *,
        flatten([
            [
                {
                    from_secs: known_rows[i].time_secs,
                    to_secs: known_rows[j].time_secs,
                    from_deg: known_rows[i].cells[1],
                    to_deg: known_rows[j].cells[1],
                    change_deg: abs(known_rows[j].cells[1] - known_rows[i].cells[1]),
                    direction: CASE
                        WHEN known_rows[j].cells[1] > known_rows[i].cells[1] THEN 'grows'
                        WHEN known_rows[j].cells[1] < known_rows[i].cells[1] THEN 'shrinks'
                        ELSE 'stays'
                    END
                }
                FOR j IN range(i + 1, len(known_rows) + 1)
                IF i <> from_number OR j <> to_number
            ]
            FOR i IN range(1, len(known_rows))
        ]) AS other_pairs,
        len(other_pairs) AS others
    FROM answered
)
SELECT
    video_id,
    person,
    frame_start,
    frame_end,
    [angle_name || '_deg'] AS columns,
    angle,
    rows,
    (from_row).time_secs AS from_secs,
    (to_row).time_secs AS to_secs,
    (from_row).cells[1] AS from_deg,
    (to_row).cells[1] AS to_deg,
    abs(to_deg - from_deg) AS change_deg,
    CASE WHEN to_deg > from_deg THEN 'grows' WHEN to_deg < from_deg THEN 'shrinks' ELSE 'stays' END AS direction,
    [
        other_pairs[1 + ((row_pick // 7 + i * (1 + (row_pick // 70) % greatest(others - 1, 1))) % others)::INTEGER]
        FOR i IN range(least(others, 2))
    ] AS more_questions
FROM pairs
ORDER BY window_id;
