-- How large is a joint angle at a time?
--
-- The angle in the frame nearest to the time. Nothing where the time is outside the video, or the
-- landmarks are not visible enough in that frame.
--
-- param joint angle : which angle
-- param at_secs time : when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : how far|much
-- words not : fast*|speed*|velocit*|quick*|rapid*|slow*
WITH nearest AS (
    SELECT * FROM metrics
    WHERE video_id = $video AND person = $person AND frame = (
        SELECT arg_min(frame, (abs(time_secs - $at_secs::DOUBLE), frame)) FROM metrics
        WHERE video_id = $video
            AND $at_secs::DOUBLE <= (SELECT duration_secs FROM videos WHERE video_id = $video)
    )
)
SELECT deg::DOUBLE AS value_deg, time_secs AS at_secs, frame, time_secs AS first_secs, time_secs AS last_secs
FROM (
    UNPIVOT (SELECT frame, time_secs, 90 - trunk_segment_deg AS forward_lean_deg, COLUMNS('_deg$') FROM nearest)
    ON COLUMNS('_deg$') INTO NAME name VALUE deg
)
WHERE name = $joint || '_deg';
