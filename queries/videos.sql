-- Which videos are in the lake?
--
-- param sport text = % : sport, with SQL wildcards
SELECT
    file_name,
    sport,
    width_px || 'x' || height_px AS size_px,
    round(fps, 2) AS fps,
    frame_count AS frames,
    pose_frame_count AS pose_frames,
    round(duration_secs, 2) AS duration_secs,
    pose_model,
    codec,
    strftime(ingested_at, '%Y-%m-%d %H:%M') AS ingested_utc,
    video_id
FROM videos
WHERE sport LIKE $sport
ORDER BY sport, file_name, video_id;
