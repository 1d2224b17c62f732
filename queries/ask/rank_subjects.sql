-- Which subject has the most or least of a joint angle?
--
-- Over all videos of each subject, their main persons; frames weigh alike.
--
-- question nothing = no video says whom it shows (`posedata tag VIDEO --subject NAME`), or the angle was measured in none of those that do
-- param joint angle : which angle
-- param statistic choice(mean, largest, smallest, range) : what of the angle
-- param which choice(most, least) : the largest value or the smallest
WITH angle AS (
    SELECT subject, deg::DOUBLE AS deg
    FROM (
        UNPIVOT (
            SELECT subject, 90 - trunk_segment_deg AS forward_lean_deg, COLUMNS('_deg$')
            FROM metrics
            JOIN (SELECT video_id, main_person AS person FROM videos) USING (video_id, person)
            JOIN subjects USING (video_id)
        )
        ON COLUMNS('_deg$') INTO NAME name VALUE deg
    )
    WHERE name = $joint || '_deg'
),
results AS (
    SELECT
        subject,
        CASE $statistic
            WHEN 'mean' THEN avg(deg) WHEN 'largest' THEN max(deg) WHEN 'smallest' THEN min(deg)
            WHEN 'range' THEN max(deg) - min(deg)
        END AS deg
    FROM angle
    GROUP BY subject
)
SELECT subject, deg AS value_deg
FROM results
ORDER BY if($which = 'most', -deg, deg), subject;
