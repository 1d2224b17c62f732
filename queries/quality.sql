-- How far can the numbers of each video be trusted?
--
-- Per video and person: the share of the video's frames of each quality (see schemas/metrics.sql),
-- the longest run of frames in which the person is not found, the mean visibility, and the landmark
-- that is least visible.
WITH rows AS (
    -- Only of person 0 there is a row where nobody is found, and none where another person is.
    SELECT
        f.video_id, p.person, f.frame, coalesce(m.quality, 'no_pose') AS quality, m.mean_visibility
    FROM (SELECT DISTINCT video_id, frame FROM metrics) AS f
    JOIN (SELECT DISTINCT video_id, person FROM metrics) AS p ON p.video_id = f.video_id
    LEFT JOIN metrics AS m ON m.video_id = f.video_id AND m.person = p.person AND m.frame = f.frame
),
runs AS (
    SELECT
        *,
        frame - row_number() OVER (PARTITION BY video_id, person, quality ORDER BY frame) AS run
    FROM rows
),
run_lengths AS (
    SELECT video_id, person, quality, run, count(*) AS frames
    FROM runs
    GROUP BY ALL
),
gaps AS (
    SELECT video_id, person, max(frames) AS longest_gap_frames
    FROM run_lengths
    WHERE quality = 'no_pose'
    GROUP BY ALL
),
visibility AS (
    SELECT video_id, person, landmark, avg(visibility) AS mean_visibility
    FROM landmarks
    GROUP BY ALL
),
weakest AS (
    SELECT
        video_id, person,
        arg_min(landmark, (mean_visibility, landmark)) AS landmark,
        min(mean_visibility) AS mean_visibility
    FROM visibility
    GROUP BY ALL
)
SELECT
    v.file_name,
    r.person,
    count(*) AS frames,
    round(100.0 * count(*) FILTER (r.quality = 'good') / count(*), 1) AS good_percent,
    round(100.0 * count(*) FILTER (r.quality = 'partial') / count(*), 1) AS partial_percent,
    round(100.0 * count(*) FILTER (r.quality = 'poor') / count(*), 1) AS poor_percent,
    round(100.0 * count(*) FILTER (r.quality = 'no_pose') / count(*), 1) AS no_pose_percent,
    coalesce(any_value(g.longest_gap_frames), 0) AS longest_gap_frames,
    round(avg(r.mean_visibility), 3) AS mean_visibility,
    any_value(w.landmark) AS least_visible,
    round(any_value(w.mean_visibility), 3) AS its_visibility
FROM runs AS r
JOIN videos AS v ON v.video_id = r.video_id
LEFT JOIN gaps AS g ON g.video_id = r.video_id AND g.person = r.person
LEFT JOIN weakest AS w ON w.video_id = r.video_id AND w.person = r.person
GROUP BY v.file_name, r.video_id, r.person
ORDER BY v.file_name, r.video_id, r.person;
