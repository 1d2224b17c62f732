SELECT
    r.group_number,
    r.group_name,
    v.file_name,
    left(v.video_id, 8) AS id,
    s.subject,
    CASE
        WHEN EXISTS (
            SELECT 1 FROM metrics AS m
            WHERE m.video_id = r.video_id AND m.person = r.person AND m.quality <> 'no_pose'
        )
        THEN r.person
    END AS person,
    v.sport,
    v.width_px || ' x ' || v.height_px AS picture,
    round(v.fps, 2) AS frames_per_sec,
    round(v.duration_secs, 2) AS duration_secs,
    v.frame_count AS frames,
    v.pose_model,
    strftime(v.ingested_at, '%Y-%m-%d') AS ingested
FROM report_videos AS r
JOIN videos AS v ON v.video_id = r.video_id
LEFT JOIN subjects AS s ON s.video_id = r.video_id
ORDER BY r.group_number, v.file_name, v.video_id
