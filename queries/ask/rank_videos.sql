-- Which video has the most or least of a joint angle?
--
-- The main person of each video.
--
-- question words = needed
-- question nothing = the angle was measured in no video
-- param joint angle : which angle
-- param statistic choice(mean, largest, smallest, range) : what of the angle
-- param which choice(most, least) : the largest value or the smallest
-- question said = smallest, largest
-- words : which|what video*|clip*|recording*|file, which of my|the|all videos|clips|recordings
-- words : rank*|sort*|order* .. video*|clip*|recording*, video|clip|recording with|that|where
-- words : videos|clips|recordings by
-- words : of all|my|the videos|clips|recordings
-- words statistic=mean : mean|average*|avg|typical*|usual*|normally
-- words statistic=range : largest|biggest|greatest|smallest|max*|total|full|whole range*|rom
-- words statistic=range : range*|rom|mov*|motion|excursion|mobil*|var*|travel*|amplitude|swing*
-- words statistic=smallest : minimum|min|minimal
-- words statistic=largest : maximum|max|maximal|peak
-- words statistic=smallest for knee, hip, ankle, elbow, wrist : bent|bend*|deep*|flex*, max*|peak .. flex*|bend*
-- words statistic=largest for knee, hip, ankle, elbow, wrist : straight*|exten*, max*|peak .. exten*
-- words statistic=mean for trunk, forward : upright|leans|leaning, lean more|most|less|least
-- words statistic=mean for trunk, forward : lean forward more|most|less|least|than, more|less|most|least lean*
-- words statistic=mean for trunk, forward : more|less|most|least forward|trunk lean*
-- words which=most : most|largest|highest|biggest|greatest|widest|descending, largest|highest first
-- words which=least : least|smallest|lowest|fewest|narrowest|ascending, smallest|lowest first
-- words which=least for knee, hip, ankle, elbow, wrist : bend*|bent|flex* .. most|furthest|farthest|deepest|further
-- words which=least for knee, hip, ankle, elbow, wrist : deepest
-- words which=least for knee, hip, ankle, elbow, wrist : most|maximally|greatest|biggest|strongest|max*|peak .. bent|bend*|flex*
-- words which=least for knee, hip, ankle, elbow, wrist : least|min* .. straight*|exten*, straighten*|exten* .. least
-- words which=most for knee, hip, ankle, elbow, wrist : straightest, most|greatest|max*|peak .. straight*|exten*
-- words which=most for knee, hip, ankle, elbow, wrist : straighten*|exten* .. most|furthest|farthest|further
-- words which=most for knee, hip, ankle, elbow, wrist : least .. bent|bend*|flex*
-- words which=most for knee, hip, ankle, elbow, wrist : bend*|bent|flex* .. least
-- words which=most for trunk, forward : lean* .. most|furthest|farthest|further, least upright
-- words which=least for trunk, forward : most upright, straightest, lean* .. least, least .. lean*
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
