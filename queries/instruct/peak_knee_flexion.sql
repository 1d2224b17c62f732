-- Detect the peak flexion of a knee, or tell that there is none.
--
-- Peak flexion is the smallest knee angle of the window where the knee is straighter by some
-- degrees both before and after. Flexion is counted from the straight knee, 180 deg. Whole degrees.
-- Windows whose smallest angle comes more than once are left out.
--
-- recipe weight = 2
-- recipe window = 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 8
-- recipe numbers = 2
-- param dip_deg integer = 10 : how much straighter the knee has to be before and after, in degrees
WITH asked AS (
    SELECT
        *,
        if(pick % 2 = 0, 'left', 'right') AS side
    FROM windows
),
shown AS (
    SELECT
        a.window_id,
        m.frame,
        round(m.time_secs, 2) AS time_secs,
        round(if(a.side = 'left', m.left_knee_deg, m.right_knee_deg)::DOUBLE) AS knee_deg
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM asked) AS a
    JOIN metrics AS m ON m.video_id = a.video_id AND m.person = a.person AND m.frame = a.frame
),
tables AS (
    SELECT
        window_id,
        list({time_secs: time_secs, cells: [knee_deg]} ORDER BY frame) AS rows,
        min(knee_deg) AS smallest_deg,
        arg_min(time_secs, knee_deg) AS time_secs
    FROM shown
    GROUP BY window_id
    HAVING count(knee_deg) >= 5 AND count(DISTINCT shown.time_secs) = count(*)
),
judged AS (
    SELECT
        a.*,
        t.* EXCLUDE (window_id),
        [r.cells[1] FOR r IN t.rows IF r.cells[1] IS NOT NULL] AS angles_deg,
        list_position(angles_deg, t.smallest_deg) AS dip_number,
        len([x FOR x IN angles_deg IF x = t.smallest_deg]) AS lowest_rows,
        coalesce(list_max(angles_deg[:dip_number - 1]), 0) - t.smallest_deg >= $dip_deg AS falls_before,
        coalesce(list_max(angles_deg[dip_number + 1:]), 0) - t.smallest_deg >= $dip_deg AS rises_after
    FROM asked AS a
    JOIN tables AS t ON t.window_id = a.window_id
)
SELECT
    video_id,
    person,
    frame_start,
    frame_end,
    side,
    [side || '_knee_deg'] AS columns,
    rows,
    smallest_deg,
    time_secs,
    180 - smallest_deg AS flexion_deg,
    CASE
        WHEN falls_before AND rises_after THEN 'peak'
        WHEN falls_before THEN 'bending'
        WHEN rises_after THEN 'straightening'
        ELSE 'steady'
    END AS course
FROM judged
WHERE lowest_rows = 1
ORDER BY window_id;
