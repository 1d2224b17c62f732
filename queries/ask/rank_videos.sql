-- Which video has the most or least of a joint angle?
--
-- The main person of each video.
--
-- question nothing = the angle was measured in no video
-- param joint angle : which angle
-- param statistic choice(mean, largest, smallest, range) : what of the angle
-- param which choice(most, least) : the largest value or the smallest
WITH angle AS (
    SELECT video_id, deg::DOUBLE AS deg
    FROM (
        UNPIVOT (
            SELECT video_id, 90 - trunk_segment_deg AS forward_lean_deg, COLUMNS('_deg$')
            FROM metrics
            JOIN (SELECT video_id, main_person AS person FROM videos) USING (video_id, person)
        )
        ON COLUMNS('_deg$') INTO NAME name VALUE deg
    )
    WHERE name = $joint || '_deg'
),
results AS (
    SELECT
        video_id,
        CASE $statistic
            WHEN 'mean' THEN avg(deg) WHEN 'largest' THEN max(deg) WHEN 'smallest' THEN min(deg)
            WHEN 'range' THEN max(deg) - min(deg)
        END AS deg
    FROM angle
    GROUP BY video_id
)
SELECT v.file_name AS video, r.deg AS value_deg
FROM results AS r
JOIN videos AS v ON v.video_id = r.video_id
ORDER BY if($which = 'most', -r.deg, r.deg), v.file_name;
