-- Admit that a table does not hold what is asked, though it looks as if it did.
--
-- The questions are those of reading a value, but for an angle that has no column, a time before,
-- after or between the rows, or a cell without a value.
--
-- recipe weight = 2
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 5
-- recipe answer = text
-- recipe ask = no
WITH choices AS (
    SELECT
        *,
        (pick % 13)::INTEGER AS first_angle,
        1 + ((pick // 13) % 12)::INTEGER AS stride,
        1 + ((pick // 156) % 2)::INTEGER AS column_count,
        pick // 312 AS further_pick
    FROM windows
),
asked AS (
    SELECT
        *,
        [1 + (first_angle + i * stride) % 13 FOR i IN range(column_count)] AS angle_numbers,
        1 + (first_angle + column_count * stride) % 13 AS absent_number,
        1 + (further_pick % column_count)::INTEGER AS asked_column,
        (further_pick // 2) % 6 AS kind_pick,
        further_pick // 12 AS row_pick
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
        list({time_secs: time_secs, cells: cells} ORDER BY frame) AS rows
    FROM shown
    GROUP BY window_id
    HAVING count(*) >= 3 AND count(DISTINCT time_secs) = count(*)
),
laid_out AS (
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
            FOR n IN list_append(a.angle_numbers, a.absent_number)
        ] AS names,
        [r FOR r IN t.rows IF r.cells[a.asked_column] IS NULL] AS empty_rows,
        t.rows[1].time_secs AS first_secs,
        t.rows[-1].time_secs AS last_secs,
        t.rows[1 + (a.row_pick % len(t.rows))::INTEGER] AS some_row,
        1 + (a.row_pick % (len(t.rows) - 1))::INTEGER AS gap_number,
        t.rows[gap_number].time_secs AS gap_from_secs,
        t.rows[gap_number + 1].time_secs AS gap_to_secs
    FROM asked AS a
    JOIN tables AS t ON t.window_id = a.window_id
),
kinds AS (
    SELECT
        *,
        CASE
            WHEN len(empty_rows) > 0 AND kind_pick <= 3 THEN 'empty cell'
            WHEN kind_pick IN (0, 4) THEN 'after'
            WHEN kind_pick = 1 AND first_secs >= 0.2 THEN 'before'
            WHEN kind_pick = 2 AND gap_to_secs - gap_from_secs >= 0.03 THEN 'between'
            ELSE 'no column'
        END AS kind,
        empty_rows[1 + (row_pick % greatest(len(empty_rows), 1))::INTEGER] AS empty_row
    FROM laid_out
)
SELECT
    video_id,
    person,
    frame_start,
    frame_end,
    names[:column_count] AS columns,
    rows,
    kind,
    names[if(kind = 'no column', column_count + 1, asked_column)] AS asked_name,
    if(asked_name = 'trunk_lean_deg', 'trunk lean', replace(replace(asked_name, '_deg', ' angle'), '_', ' ')) AS angle,
    round(CASE kind
        WHEN 'empty cell' THEN (empty_row).time_secs
        WHEN 'after' THEN last_secs + 0.2 + (row_pick % 30) / 10
        WHEN 'before' THEN first_secs * (1 + row_pick % 3) / 5
        WHEN 'between' THEN (gap_from_secs + gap_to_secs) / 2
        ELSE (some_row).time_secs
    END, 2) AS asked_secs,
    first_secs,
    last_secs,
    gap_from_secs,
    gap_to_secs
FROM kinds
ORDER BY window_id;
