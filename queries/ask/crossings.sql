-- How often, and when first, does a joint angle cross a limit?
--
-- A crossing is a measured frame beyond the limit whose measured frame before is not; a clip that
-- begins beyond the limit has not crossed it yet.
--
-- param joint angle : which angle
-- param direction choice(below, above) : which way
-- param limit_deg number : the limit, in degrees
-- param from_secs time = null : from when on
-- param to_secs time = null : until when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : how often, how many times, number of times, first time, how long it takes
-- words : how long until|till|before the|it|he|she|left|right
-- words : first|times|ever|cross*|frequen*|pass*|reach*|count*|when
-- words : what|which time|moment|instant|point, first #, threshold|limit
-- words direction=below : below|under|beneath|<, less|lower|smaller|fewer than, drop*|fall*|downward*|sink*|dip*
-- words direction=above : above|beyond|exceed*|>, over|past #, more|larger|greater|higher|bigger than
-- words direction=above : goes|go|get*|went over, rise*|rising|upward*, go|goes|went up
-- words not : fast*|speed*|velocit*|quick*|rapid*|slow*
-- words direction=below for knee, hip, ankle, elbow, wrist : bend*|bent|flex* .. more|further|deeper than
-- words direction=below for knee, hip, ankle, elbow, wrist : more|further bent|flexed than
-- words direction=below for knee, hip, ankle, elbow, wrist : bend*|bent|flex* past|beyond|over
-- words direction=above for knee, hip, ankle, elbow, wrist : straighter than, bend*|bent|flex* .. less than
-- words direction=above for knee, hip, ankle, elbow, wrist : less bent|flexed than, open* .. more|further than
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
),
steps AS (
    SELECT
        time_secs,
        if($direction = 'below', deg < $limit_deg::DOUBLE, deg > $limit_deg::DOUBLE) AS is_beyond,
        lag(is_beyond) OVER (ORDER BY frame) AS was_beyond
    FROM angle
)
SELECT
    if(count(*) = 0, NULL, count(*) FILTER (is_beyond AND NOT was_beyond)) AS crossing_count,
    min(time_secs) FILTER (is_beyond AND NOT was_beyond) AS first_crossing_secs,
    min(time_secs) AS first_secs,
    max(time_secs) AS last_secs
FROM steps;
