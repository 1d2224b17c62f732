SELECT
    r.group_name,
    v.file_name,
    count(DISTINCT m.frame) AS frames,
    round(100.0 * count(DISTINCT m.frame) FILTER (m.quality = 'good') / count(DISTINCT m.frame), 1) AS good_percent,
    round(100.0 * count(DISTINCT m.frame) FILTER (m.quality IN ('good', 'partial')) / count(DISTINCT m.frame), 1)
        AS trusted_percent,
    round(100.0 * count(DISTINCT m.frame) FILTER (m.quality = 'no_pose') / count(DISTINCT m.frame), 1) AS nobody_percent,
    count(*) FILTER (m.left_right_swap) AS left_right_swaps,
    count(*) FILTER (m.bone_length_jump) AS bone_length_jumps,
    (SELECT round(min(e.confidence), 2) FROM events AS e WHERE e.video_id = r.video_id) AS lowest_confidence,
    (SELECT count(*) FROM events AS e WHERE e.video_id = r.video_id) AS events
FROM report_videos AS r
JOIN videos AS v ON v.video_id = r.video_id
JOIN metrics AS m ON m.video_id = r.video_id
GROUP BY r.group_number, r.group_name, r.video_id, v.file_name
ORDER BY r.group_number, v.file_name
