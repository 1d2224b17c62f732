-- How many videos are there, and how long are they together?
--
-- All videos of the lake.
--
SELECT
    count(*) AS video_count,
    coalesce(sum(duration_secs), 0) AS total_secs,
    coalesce(sum(frame_count), 0)::BIGINT AS frame_count
FROM videos;
