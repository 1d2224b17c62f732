-- Find the first moment at which an angle is below or above a limit.
--
-- The limit is a multiple of 5 deg near the middle of the shown values, now and then one that no
-- value reaches. Further questions ask for the other side of it, and for one nearer to the end of
-- the range.
--
-- recipe weight = 2
-- recipe window = 0.3 s, 0.5 s, 0.8 s, 1 s, 1.5 s, 2 s
-- recipe rows = 6
-- recipe numbers = 1.5
-- param change_deg number = 6 : how far the angle has to move within the window, in degrees
WITH asked AS (
    SELECT
        *,
        [
            'left_knee', 'right_knee', 'left_hip', 'right_hip', 'left_elbow', 'right_elbow',
            'left_shoulder', 'right_shoulder', 'trunk_lean'
        ][1 + (pick % 9)::INTEGER] AS angle_name,
        if(angle_name = 'trunk_lean', 'trunk lean', replace(angle_name, '_', ' ') || ' angle') AS angle,
        if((pick // 9) % 2 = 0, 'below', 'above') AS side,
        (pick // 18) % 6 = 0 AS never
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
        END)::DOUBLE, 1) AS angle_deg
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
    HAVING count(angle_deg) >= 3 AND count(DISTINCT time_secs) = count(*)
        AND max(angle_deg) - min(angle_deg) >= $change_deg
),
limited AS (
    SELECT
        a.*,
        t.*,
        if(a.side = 'below', t.smallest_deg, t.largest_deg) AS extreme_deg,
        (CASE
            WHEN NOT a.never THEN 5 * round((t.smallest_deg + t.largest_deg) / 10)
            WHEN a.side = 'below' THEN 5 * floor(t.smallest_deg / 5)
            ELSE 5 * ceil(t.largest_deg / 5)
        END)::INTEGER AS limit_deg,
        [
            r FOR r IN t.rows
            IF if(a.side = 'below', r.cells[1] < limit_deg, r.cells[1] > limit_deg)
        ] AS beyond_rows
    FROM asked AS a
    JOIN tables AS t ON t.window_id = a.window_id
),
other_limits AS (
    SELECT
        *,
        [
            {side: if(side = 'below', 'above', 'below'), limit_deg: limit_deg},
            {
                side: side,
                limit_deg: if(
                    side = 'below',
                    5 * round((3 * smallest_deg + largest_deg) / 20),
                    5 * round((smallest_deg + 3 * largest_deg) / 20)
                )::INTEGER
            }
        ] AS others
    FROM limited
),
crossed AS (
    SELECT
        *,
        [
            {
                side: o.side,
                limit_deg: o.limit_deg,
                extreme_deg: if(o.side = 'below', smallest_deg, largest_deg),
                beyond: [
                    r FOR r IN rows
                    IF if(o.side = 'below', r.cells[1] < o.limit_deg, r.cells[1] > o.limit_deg)
                ]
            }
            FOR o IN others
            IF o.limit_deg > 0 AND (o.side <> side OR o.limit_deg <> limit_deg)
        ] AS other_crossings
    FROM other_limits
)
SELECT
    video_id,
    person,
    frame_start,
    frame_end,
    [angle_name || '_deg'] AS columns,
    angle,
    rows,
    side,
    limit_deg,
    extreme_deg,
    len(beyond_rows) > 0 AS found,
    beyond_rows[1].time_secs AS time_secs,
    beyond_rows[1].cells[1] AS value_deg,
    [
        {
            side: o.side,
            limit_deg: o.limit_deg,
            extreme_deg: o.extreme_deg,
            found: len(o.beyond) > 0,
            time_secs: o.beyond[1].time_secs,
            value_deg: o.beyond[1].cells[1]
        }
        FOR o IN other_crossings
    ] AS more_questions
FROM crossed
WHERE limit_deg > 0
ORDER BY window_id;
