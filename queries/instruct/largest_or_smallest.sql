-- Find the largest or the smallest angle in a table, and when it occurs.
--
-- One or two angles over a window; the asked extreme is in one row alone, and the angle changes
-- enough over the window that the question makes sense. Further questions ask for the other extreme,
-- and for those of the other angle.
--
-- recipe weight = 4
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 6
-- recipe numbers = 2.5
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
laid_out AS (
    SELECT
        a.*,
        t.rows,
        if(a.extreme = 'largest', t.largest_deg, t.smallest_deg) AS value_deg,
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
),
extremes AS (
    SELECT
        window_id,
        column_number,
        extreme,
        -- The other extreme of the asked angle comes first.
        abs(column_number - asked_column) AS distance,
        [r.cells[column_number] FOR r IN rows IF r.cells[column_number] IS NOT NULL] AS angles_deg,
        if(extreme = 'largest', list_max(angles_deg), list_min(angles_deg)) AS value_deg,
        [r FOR r IN rows IF r.cells[column_number] = value_deg] AS extreme_rows,
        columns[column_number] AS asked_name
    FROM (
        SELECT
            window_id, rows, columns, asked_column,
            unnest(range(1, column_count + 1)) AS column_number
        FROM laid_out
    )
    CROSS JOIN (VALUES ('largest'), ('smallest')) AS e(extreme)
    WHERE len(angles_deg) >= 3 AND len(extreme_rows) = 1
        AND list_max(angles_deg) - list_min(angles_deg) >= $change_deg
),
questions AS (
    SELECT
        *,
        if(asked_name = 'trunk_lean_deg', 'trunk lean', replace(replace(asked_name, '_deg', ' angle'), '_', ' ')) AS angle
    FROM extremes
),
further AS (
    SELECT
        q.window_id,
        list(
            {
                asked_column: q.column_number,
                extreme: q.extreme,
                asked_name: q.asked_name,
                angle: q.angle,
                value_deg: q.value_deg,
                time_secs: q.extreme_rows[1].time_secs
            }
            ORDER BY q.distance, q.extreme
        ) FILTER (q.column_number <> l.asked_column OR q.extreme <> l.extreme) AS more_questions
    FROM questions AS q
    JOIN laid_out AS l ON l.window_id = q.window_id
    GROUP BY q.window_id
)
SELECT
    l.video_id,
    l.person,
    l.frame_start,
    l.frame_end,
    l.columns,
    l.rows,
    l.asked_column,
    l.extreme,
    q.asked_name,
    q.angle,
    l.value_deg,
    q.extreme_rows[1].time_secs AS time_secs,
    f.more_questions
FROM laid_out AS l
JOIN questions AS q
    ON q.window_id = l.window_id AND q.column_number = l.asked_column AND q.extreme = l.extreme
JOIN further AS f ON f.window_id = l.window_id
ORDER BY l.window_id;
