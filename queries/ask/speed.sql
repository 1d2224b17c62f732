-- How fast does a landmark move, at its fastest or on average?
--
-- Speeds in the picture from frame to frame, over the frames in which the landmark is visible
-- (0.5 and above); in pixels and in torso lengths (middle of the shoulders to middle of the hips) per second.
--
-- question words = needed
-- param landmark landmark : which landmark
-- param statistic choice(peak, mean)
-- param from_secs time = null : from when on
-- param to_secs time = null : until when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : fast|faster|fastest|speed*|velocit*|quick|quicker|quickest|quickly|rapid*
-- words : fast*|quick*|rapid*|speed|velocity .. mov*, mov* .. fast*|quick*|rapid*
-- words statistic=peak : peak|max*|top|highest|fastest|quickest|greatest|biggest|largest|when, at most
-- words statistic=peak : at its fastest|quickest
-- words statistic=mean : mean|average*|avg|typical*|usual*|normally, on average
-- words not : minimum|min|minimal|lowest|slowest|smallest|least
-- words not : who|whose, which|what video*|clip*|recording*|athlete*|runner*|subject*|person
WITH speeds AS (
    SELECT
        s.frame,
        s.time_secs,
        s.speed_px_per_sec AS px_per_sec,
        s.speed_px_per_sec / m.torso_length_px AS torso_per_sec
    FROM landmark_speed($landmark) AS s
    JOIN metrics AS m ON m.video_id = s.video_id AND m.person = s.person AND m.frame = s.frame
    WHERE s.video_id = $video AND s.person = $person
        AND s.visibility >= 0.5 AND s.speed_px_per_sec IS NOT NULL
        AND s.time_secs >= coalesce($from_secs::DOUBLE, '-infinity'::DOUBLE) - 1e-6
        AND s.time_secs <= coalesce($to_secs::DOUBLE, 'infinity'::DOUBLE) + 1e-6
)
SELECT
    if($statistic = 'peak', max(px_per_sec), avg(px_per_sec)) AS speed_px_per_sec,
    -- A struct is never NULL: where the torso is hidden at the peak, another frame's length is not taken.
    if($statistic = 'peak', arg_max({'torso': torso_per_sec}, (px_per_sec, -frame)).torso, avg(torso_per_sec)) AS speed_torso_per_sec,
    if($statistic = 'peak', arg_max(time_secs, (px_per_sec, -frame)), NULL) AS at_secs,
    min(time_secs) AS first_secs,
    max(time_secs) AS last_secs
FROM speeds;
