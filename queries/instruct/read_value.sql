-- Read one value from a table of joint angles.
--
-- One to three angles over a window, a row per shown frame. The question names a row, by its time
-- or by its frame, and an angle that was measured there. Further questions ask for other cells.
--
-- recipe weight = 5
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 6
-- recipe numbers = 1.5
WITH choices AS (
    SELECT
        *,
        (pick % 13)::INTEGER AS first_angle,
        -- 13 is prime, so that steps of any length through the list meet different angles.
        1 + ((pick // 13) % 12)::INTEGER AS stride,
        1 + ((pick // 156) % 3)::INTEGER AS column_count,
        (pick // 468)::UBIGINT AS further_pick
    FROM windows
),
asked AS (
    SELECT
        *,
        [1 + (first_angle + i * stride) % 13 FOR i IN range(column_count)] AS angle_numbers,
        1 + (further_pick % column_count)::INTEGER AS asked_column,
        if((further_pick // 6) % 4 = 0, 'frame', 'time_secs') AS row_key,
        further_pick // 24 AS row_pick
    FROM choices
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
        list({frame: frame, time_secs: time_secs, cells: cells} ORDER BY frame) AS rows
    FROM shown
    GROUP BY window_id
    HAVING count(*) >= 3 AND count(DISTINCT time_secs) = count(*)
),
answered AS (
    SELECT
        a.*,
        t.rows,
        [
            [
                'left_knee_deg', 'right_knee_deg', 'left_hip_deg', 'right_hip_deg',
                'left_ankle_deg', 'right_ankle_deg', 'left_elbow_deg', 'right_elbow_deg',
                'left_shoulder_deg', 'right_shoulder_deg', 'left_wrist_deg', 'right_wrist_deg',
                'trunk_lean_deg'
            ][n]
            FOR n IN a.angle_numbers
        ] AS columns,
        [r FOR r IN t.rows IF r.cells[a.asked_column] IS NOT NULL] AS known_rows
    FROM asked AS a
    JOIN tables AS t ON t.window_id = a.window_id
),
cells AS (
    SELECT
        *,
        known_rows[1 + (row_pick % len(known_rows))::INTEGER] AS asked_row,
        flatten([
            [
                {
                    asked_name: columns[c],
                    angle: if(
                        columns[c] = 'trunk_lean_deg', 'trunk lean',
                        replace(replace(columns[c], '_deg', ' angle'), '_', ' ')
                    ),
                    asked_row: r,
                    value_deg: r.cells[c]
                }
                FOR c IN range(1, column_count + 1)
                IF r.cells[c] IS NOT NULL AND (c <> asked_column OR r.frame <> (asked_row).frame)
            ]
            FOR r IN rows
        ]) AS other_cells,
        len(other_cells) AS others
    FROM answered
    WHERE len(known_rows) > 0
)
SELECT
    video_id,
    person,
    frame_start,
    frame_end,
    row_key,
    columns,
    rows,
    columns[asked_column] AS asked_name,
    if(asked_name = 'trunk_lean_deg', 'trunk lean', replace(replace(asked_name, '_deg', ' angle'), '_', ' ')) AS angle,
    asked_row,
    (asked_row).cells[asked_column] AS value_deg,
    -- Two different ones, as far as there are two.
    [
        other_cells[1 + ((row_pick // 7 + i * (1 + (row_pick // 70) % greatest(others - 1, 1))) % others)::INTEGER]
        FOR i IN range(least(others, 2))
    ] AS more_questions
FROM cells
ORDER BY window_id;
