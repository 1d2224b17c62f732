-- Find the largest or the smallest angle in a table, and when it occurs.
--
-- One or two angles over a window; the asked extreme is in one row alone, and the angle changes
-- enough over the window that the question makes sense.
--
-- recipe weight = 4
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 6
-- param change_deg number = 2 : how far the angle has to move within the window, in degrees
WITH choices AS (
    SELECT
        *,
        (pick % 13)::INTEGER AS first_angle,
        1 + ((pick // 13) % 12)::INTEGER AS stride,
        1 + ((pick // 156) % 2)::INTEGER AS column_count,
        if((pick // 312) % 2 = 0, 'largest', 'smallest') AS extreme,
        1 + ((pick // 624) % column_count)::INTEGER AS asked_column
    FROM windows
),
asked AS (
    SELECT
        *,
        [1 + (first_angle + i * stride) % 13 FOR i IN range(column_count)] AS angle_numbers
    FROM choices
),
shown AS (
    SELECT
        a.window_id,
        a.asked_column,
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
        list({time_secs: time_secs, cells: cells} ORDER BY frame) AS rows,
        max(cells[asked_column]) AS largest_deg,
        min(cells[asked_column]) AS smallest_deg
    FROM shown
    GROUP BY window_id
    HAVING count(cells[asked_column]) >= 3 AND count(DISTINCT time_secs) = count(*)
),
answered AS (
    SELECT
        a.*,
        t.rows,
        if(a.extreme = 'largest', t.largest_deg, t.smallest_deg) AS value_deg,
        [r FOR r IN t.rows IF r.cells[a.asked_column] = value_deg] AS extreme_rows,
        [
            [
                'left_knee_deg', 'right_knee_deg', 'left_hip_deg', 'right_hip_deg',
                'left_ankle_deg', 'right_ankle_deg', 'left_elbow_deg', 'right_elbow_deg',
                'left_shoulder_deg', 'right_shoulder_deg', 'left_wrist_deg', 'right_wrist_deg',
                'trunk_lean_deg'
            ][n]
            FOR n IN a.angle_numbers
        ] AS columns
    FROM asked AS a
    JOIN tables AS t ON t.window_id = a.window_id
    WHERE t.largest_deg - t.smallest_deg >= $change_deg
)
SELECT
    video_id,
    person,
    frame_start,
    frame_end,
    columns,
    rows,
    extreme,
    columns[asked_column] AS asked_name,
    if(asked_name = 'trunk_lean_deg', 'trunk lean', replace(replace(asked_name, '_deg', ' angle'), '_', ' ')) AS angle,
    value_deg,
    extreme_rows[1].time_secs AS time_secs
FROM answered
WHERE len(extreme_rows) = 1
ORDER BY window_id;
