-- How large is a joint angle at a time?
--
-- The angle in the frame nearest to the time. Nothing where the time is outside the video or in a
-- pause of the recording, or the landmarks are not visible enough in that frame.
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
        SELECT arg_min(m.frame, (abs(m.time_secs - $at_secs::DOUBLE), m.frame))
        FROM metrics AS m
        JOIN videos AS v ON v.video_id = m.video_id
        WHERE m.video_id = $video
        HAVING $at_secs::DOUBLE BETWEEN min(m.time_secs) - 1e-6 AND min(m.time_secs) + max(v.duration_secs) + 1e-6
            AND min(abs(m.time_secs - $at_secs::DOUBLE)) <= greatest(2.5 / max(v.fps), 0.05)
    )
)
SELECT deg::DOUBLE AS value_deg, time_secs AS at_secs, frame, time_secs AS first_secs, time_secs AS last_secs
FROM (
    UNPIVOT (SELECT frame, time_secs, if(trunk_segment_deg < -90, -270, 90) - trunk_segment_deg AS forward_lean_deg, COLUMNS('_deg$') FROM nearest)
    ON COLUMNS('_deg$') INTO NAME name VALUE deg
)
WHERE name = $joint || '_deg';
