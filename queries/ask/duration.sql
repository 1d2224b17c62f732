-- How long is a video?
--
-- From the first frame to the end of the last, in seconds; with its frames.
--
-- param video video : which video
SELECT duration_secs, frame_count, fps AS rate_fps
FROM videos
WHERE video_id = $video;
