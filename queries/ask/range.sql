-- How far does a joint move?
--
-- The difference between the largest and the smallest angle of single frames.
--
-- question words = needed
-- param joint angle : which angle
-- param from_secs time = null : from when on
-- param to_secs time = null : until when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : largest|biggest|greatest|smallest|max*|total|full|whole range*|rom
-- words : range*|rom|mov*|motion|excursion*|mobil*|vary|varies|varied|variation|travel*|amplitude|swing*|sweep*
-- words : spread|span|flexib*, how far|much
-- words : largest|highest|biggest|maximum|max .. and|to|minus|less .. smallest|lowest|minimum|min .. lean*|inclin*
-- words : smallest|lowest|minimum|min .. and|to .. largest|highest|biggest|maximum|max .. lean*|inclin*
-- words : largest|highest|biggest|maximum|max .. and|to|minus|less .. smallest|lowest|minimum|min
-- words : smallest|lowest|minimum|min .. and|to .. largest|highest|biggest|maximum|max
-- words not : fast*|speed*|velocit*|quick*|rapid*|slow*
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
    max(deg) - min(deg) AS range_deg,
    min(deg) AS smallest_deg,
    max(deg) AS largest_deg,
    min(time_secs) AS first_secs,
    max(time_secs) AS last_secs
FROM angle;
