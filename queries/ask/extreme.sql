-- When is a joint angle at its largest or smallest, and how large is it then?
--
-- The first of the frames with that angle. A joint is bent most where its angle is smallest.
--
-- param joint angle : which angle
-- param which choice(smallest, largest)
-- param from_secs time = null : from when on
-- param to_secs time = null : until when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
WITH angle AS (
    SELECT frame, time_secs, deg::DOUBLE AS deg
    FROM (
        UNPIVOT (
            SELECT frame, time_secs, 90 - trunk_segment_deg AS forward_lean_deg, COLUMNS('_deg$')
            FROM metrics
            WHERE video_id = $video AND person = $person
        )
        ON COLUMNS('_deg$') INTO NAME name VALUE deg
    )
    WHERE name = $joint || '_deg'
        AND time_secs >= coalesce($from_secs::DOUBLE, '-infinity'::DOUBLE) - 1e-6
        AND time_secs <= coalesce($to_secs::DOUBLE, 'infinity'::DOUBLE) + 1e-6
)
SELECT
    if($which = 'smallest', min(deg), max(deg)) AS value_deg,
    if($which = 'smallest', arg_min(time_secs, (deg, frame)), arg_max(time_secs, (deg, -frame))) AS at_secs,
    min(time_secs) AS first_secs,
    max(time_secs) AS last_secs
FROM angle;
