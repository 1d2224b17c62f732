-- How deep and how fast is each repetition?
--
-- One row per repetition of an angle (`posedata events detect --angle`): smallest and largest angle,
-- depth, and the times in which it gets smaller, is held and gets larger.
--
-- param video text = % : file name of the video, with SQL wildcards
SELECT
    v.file_name,
    c.person,
    c.method AS angle,
    row_number() OVER (PARTITION BY c.video_id, c.person, c.method ORDER BY c.start_secs) AS repetition,
    c.start_frame,
    round(c.start_secs, 2) AS start_secs,
    round(c.lowest_deg, 1) AS lowest_deg,
    round(c.highest_deg, 1) AS highest_deg,
    round(c.highest_deg - c.lowest_deg, 1) AS depth_deg,
    round(c.lowering_secs, 2) AS lowering_secs,
    round(c.hold_secs, 2) AS hold_secs,
    round(c.raising_secs, 2) AS raising_secs,
    round(c.end_secs - c.start_secs, 2) AS duration_secs,
    round(c.confidence, 2) AS confidence
FROM cycles AS c
JOIN videos AS v ON v.video_id = c.video_id
WHERE c.kind = 'repetition' AND v.file_name LIKE $video
ORDER BY v.file_name, c.video_id, c.person, c.start_secs;
