-- Which landmark moves fastest?
--
-- The highest speed in the picture from frame to frame of any visible landmark.
--
-- question words = needed
-- question train = no
-- param from_secs time = null : from when on
-- param to_secs time = null : until when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : which|what landmark|landmarks|part|parts|point|joint|body .. fastest|quickest
-- words : fastest|quickest landmark|part|point|body
-- words : what moves .. fastest|quickest, which|what landmark|part|point|joint|body .. highest|top speed
-- words : what is|s mov* .. fastest|quickest
SELECT
    arg_max(peak_landmark, (peak_landmark_speed_px_per_sec, -frame)) AS landmark,
    max(peak_landmark_speed_px_per_sec)::DOUBLE AS speed_px_per_sec,
    arg_max(time_secs, (peak_landmark_speed_px_per_sec, -frame)) AS at_secs,
    min(time_secs) AS first_secs,
    max(time_secs) AS last_secs
FROM metrics
WHERE video_id = $video AND person = $person AND peak_landmark_speed_px_per_sec IS NOT NULL
    AND time_secs >= coalesce($from_secs::DOUBLE, '-infinity'::DOUBLE) - 1e-6
    AND time_secs <= coalesce($to_secs::DOUBLE, 'infinity'::DOUBLE) + 1e-6;
