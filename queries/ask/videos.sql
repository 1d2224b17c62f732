-- How many videos are there, and how long are they together?
--
-- All videos of the lake.
-- question words = needed
-- words : how many videos|clips|recordings|files|films, number of videos|clips|recordings|files
-- words : count .. videos|clips|recordings, footage|altogether|everything, in total, how big|large is the lake
-- words : size of the lake
-- words : all|all the videos|clips|recordings, videos|clips|recordings together, how much video, amount of video
-- words : how long .. videos|clips|recordings|all|together, how long, how many frames|seconds
-- words : how many seconds of video, number of frames, duration|length|frames, total duration|length|time
-- words : total running time
-- words : how many frames|seconds|hours|minutes .. all|altogether|together|total|videos|clips|recordings|lake
-- words : number of frames|seconds .. all|altogether|together|total|videos|clips|recordings|lake
SELECT
    count(*) AS video_count,
    coalesce(sum(duration_secs), 0) AS total_secs,
    coalesce(sum(frame_count), 0)::BIGINT AS frame_count
FROM videos;
