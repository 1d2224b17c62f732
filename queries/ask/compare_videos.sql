-- How does a joint angle compare between two videos?
--
-- The main person of each video; the first minus the second.
--
-- param joint angle : which angle
-- param statistic choice(mean, largest, smallest, range) : what of the angle
-- param video video : the first video
-- param other_video video : the second video
-- question said = smallest, largest
-- words : compar*|difference*|differ*|vs|versus|than|against
-- words statistic=mean : mean|average*|avg|typical*|usual*|normally
-- words statistic=range : largest|biggest|greatest|smallest|max*|total|full|whole range*|rom
-- words statistic=range : range*|rom|mov*|motion|excursion|mobil*|var*|travel*|amplitude|swing*
-- words statistic=smallest : minimum|min|minimal|smallest|lowest
-- words statistic=largest : maximum|max|maximal|peak|largest|highest|biggest|greatest
-- words statistic=smallest for knee, hip, ankle, elbow, wrist : bent|bend*|deep*|flex*, max*|peak .. flex*|bend*
-- words statistic=largest for knee, hip, ankle, elbow, wrist : straight*|exten*, max*|peak .. exten*
-- words statistic=mean for trunk, forward : upright|leans|leaning, lean more|most|less|least
-- words statistic=mean for trunk, forward : lean forward more|most|less|least|than, more|less|most|least lean*
-- words statistic=mean for trunk, forward : more|less|most|least forward|trunk lean*
-- words not : fast*|speed*|velocit*|quick*|rapid*|slow*
-- words statistic=largest for knee, hip, ankle, elbow, wrist : least .. bent|bend*|flex*
-- words statistic=smallest for knee, hip, ankle, elbow, wrist : least .. straight*|exten*
WITH angle AS (
    SELECT video_id, deg::DOUBLE AS deg
    FROM (
        UNPIVOT (
            SELECT video_id, if(trunk_segment_deg < -90, -270, 90) - trunk_segment_deg AS forward_lean_deg, COLUMNS('_deg$')
            FROM metrics
            JOIN (SELECT video_id, main_person AS person FROM videos) USING (video_id, person)
            WHERE video_id IN ($video, $other_video)
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
SELECT
    a.deg AS first_deg,
    b.deg AS second_deg,
    a.deg - b.deg AS difference_deg
FROM results AS a
JOIN results AS b ON a.video_id = $video AND b.video_id = $other_video;
