-- How long is a joint angle above or below a limit?
--
-- A frame lasts until the next one of the video; the last frame, and one before a pause of the
-- recording, as long as frames last on average. Of frames at the ends of the stretch only what lies
-- within counts. The percentage is of the time in which the angle was measured.
--
-- param joint angle : which angle
-- param direction choice(below, above) : on which side of the limit
-- param limit_deg number : the limit, in degrees
-- param from_secs time = null : from when on
-- param to_secs time = null : until when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : how long, how much|total time, total seconds, how much of, how many seconds, seconds with|that|where
-- words : time|share|percent*|%|proportion|portion|fraction|duration|spend*|spent|stay*|remain*, first #
-- words : threshold|limit
-- words direction=below : below|under|beneath|<, less|lower|smaller|fewer than
-- words direction=above : above|beyond|exceed*|>, over|past #, more|larger|greater|higher|bigger than
-- words not : fast*|speed*|velocit*|quick*|rapid*|slow*
-- words direction=below for knee, hip, ankle, elbow, wrist : bend*|bent|flex* .. more|further|deeper than
-- words direction=below for knee, hip, ankle, elbow, wrist : more|further bent|flexed than
-- words direction=below for knee, hip, ankle, elbow, wrist : bend*|bent|flex* past|beyond|over
-- words direction=above for knee, hip, ankle, elbow, wrist : straighter than, bend*|bent|flex* .. less than
-- words direction=above for knee, hip, ankle, elbow, wrist : less bent|flexed than, open* .. more|further than
WITH steps AS (
    SELECT
        f.frame,
        f.time_secs,
        lead(f.time_secs) OVER (ORDER BY f.frame) - f.time_secs AS step_secs,
        1 / v.fps AS usual_secs,
        if(step_secs IS NULL OR step_secs > greatest(5 * usual_secs, 0.1), usual_secs, step_secs) AS secs
    FROM (SELECT DISTINCT video_id, frame, time_secs FROM metrics WHERE video_id = $video) AS f
    JOIN videos AS v ON v.video_id = f.video_id
),
lasting AS (
    SELECT
        frame,
        greatest(time_secs, coalesce($from_secs::DOUBLE, '-infinity'::DOUBLE)) AS start_secs,
        least(time_secs + secs, coalesce($to_secs::DOUBLE, 'infinity'::DOUBLE)) - start_secs AS secs
    FROM steps
),
angle AS (
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
counted AS (
    SELECT
        l.start_secs,
        l.secs,
        if($direction = 'below', a.deg < $limit_deg::DOUBLE, a.deg > $limit_deg::DOUBLE) AS is_beyond
    FROM angle AS a
    JOIN lasting AS l ON l.frame = a.frame
    WHERE l.secs > 1e-6
)
SELECT
    if(count(*) = 0, NULL, coalesce(sum(secs) FILTER (is_beyond), 0)) AS beyond_secs,
    100 * beyond_secs / sum(secs) AS beyond_percent,
    min(start_secs) AS first_secs,
    max(start_secs) AS last_secs
FROM counted;
