-- How does a joint angle change between two times?
--
-- The angle in the frame nearest to the second time minus that in the frame nearest to the first.
-- Nothing where one of them is outside the video or in a pause of the recording.
--
-- param joint angle : which angle
-- param from_secs time : the first time
-- param to_secs time : the second time
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : chang*|grow*|grew|shrink*|shrank|increas*|decreas*|gain*|lose*|lost|difference*|differ*|more|less
-- words : up or down, down or up, go|goes|went up|down
-- words : open or close, opens or closes, rise or fall, compared to, by how much, how far|much
-- words not : fast*|speed*|velocit*|quick*|rapid*|slow*
-- words : how far|much .. bend|bends|bent|flex|flexes|flexed|straighten*|extend*
-- words : how much|many .. more|less|smaller|larger|bigger|higher|lower .. than
-- words not : how much|total time, how many seconds
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
),
ends AS (
    SELECT
        arg_min(m.frame, (abs(m.time_secs - $from_secs::DOUBLE), m.frame)) AS from_frame,
        arg_min(m.frame, (abs(m.time_secs - $to_secs::DOUBLE), m.frame)) AS to_frame
    FROM metrics AS m
    JOIN videos AS v ON v.video_id = m.video_id
    WHERE m.video_id = $video
    HAVING least($from_secs::DOUBLE, $to_secs::DOUBLE) >= min(m.time_secs) - 1e-6
        AND greatest($from_secs::DOUBLE, $to_secs::DOUBLE) <= min(m.time_secs) + max(v.duration_secs) + 1e-6
        AND greatest(min(abs(m.time_secs - $from_secs::DOUBLE)), min(abs(m.time_secs - $to_secs::DOUBLE)))
            <= greatest(2.5 / max(v.fps), 0.05)
)
SELECT
    b.deg - a.deg AS change_deg,
    a.deg AS from_deg,
    b.deg AS to_deg,
    a.time_secs AS first_secs,
    b.time_secs AS last_secs
FROM ends AS e
JOIN angle AS a ON a.frame = e.from_frame
JOIN angle AS b ON b.frame = e.to_frame;
