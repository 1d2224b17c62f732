-- How large is a joint angle on average?
--
-- The mean over all frames in which it was measured.
--
-- question words = needed
-- param joint angle : which angle
-- param from_secs time = null : from when on
-- param to_secs time = null : until when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : mean|average*|avg|typical*|usual*|normally, on average, how far|much
-- words not : fast*|speed*|velocit*|quick*|rapid*|slow*, chang*|symmetr*|asymmetr*
WITH angle AS (
    SELECT frame, time_secs, deg::DOUBLE AS deg
    FROM (
        UNPIVOT (
            SELECT frame, time_secs, if(trunk_segment_deg < -90, -270, 90) - trunk_segment_deg AS forward_lean_deg, COLUMNS('_deg$')
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
    avg(deg) AS mean_deg,
    nullif(count(*), 0) AS frame_count,
    min(time_secs) AS first_secs,
    max(time_secs) AS last_secs
FROM angle;
