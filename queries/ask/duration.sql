-- How long is a video?
--
-- From the first frame to the end of the last, in seconds; with its frames.
--
-- question words = needed
-- param video video : which video
-- words : how long, how many frames|seconds, number of frames, frame rate|count, frames per second
-- words : how long .. video|clip|recording
-- words : how many frames|seconds are|were|was|is|has|have|does|did|do|make|in|a|per, number of frames of|in|are|were
-- words : running time, how many pictures|images
-- words : duration|length|framerate|fps|frames|take|last|lasts
SELECT duration_secs, frame_count, fps AS rate_fps
FROM videos
WHERE video_id = $video;
