SELECT
    r.group_name,
    v.file_name,
    v.frame_count AS frames,
    round(100.0 * count(*) FILTER (m.quality = 'good') / v.frame_count, 1) AS good_percent,
    round(100.0 * count(*) FILTER (m.quality IN ('good', 'partial')) / v.frame_count, 1) AS trusted_percent,
    round(100 - 100.0 * count(*) FILTER (m.quality <> 'no_pose') / v.frame_count, 1) AS not_found_percent,
    count(*) FILTER (m.left_right_swap) AS left_right_swaps,
    count(*) FILTER (m.bone_length_jump) AS bone_length_jumps,
    (
        SELECT round(min(e.confidence), 2) FROM events AS e
        WHERE e.video_id = r.video_id AND e.person = r.person
    ) AS lowest_confidence,
    (
        SELECT count(*) FROM cycles AS c
        WHERE c.video_id = r.video_id AND c.person = r.person AND c.kind = 'jump'
    ) AS jumps,
    (
        SELECT count(*) FROM cycles AS c
        WHERE c.video_id = r.video_id AND c.person = r.person AND c.kind = 'jump' AND c.flight_secs IS NULL
    ) AS jumps_without_height,
    (
        SELECT round(max(200 * c.flight_error_secs / c.flight_secs), 0) FROM cycles AS c
        WHERE c.video_id = r.video_id AND c.person = r.person AND c.kind = 'jump'
    ) AS height_uncertain_percent,
    (SELECT count(*) FROM events AS e WHERE e.video_id = r.video_id AND e.person = r.person) AS events
FROM report_videos AS r
JOIN videos AS v ON v.video_id = r.video_id
LEFT JOIN metrics AS m ON m.video_id = r.video_id AND m.person = r.person
GROUP BY r.group_number, r.group_name, r.video_id, r.person, v.file_name, v.frame_count
ORDER BY r.group_number, v.file_name
