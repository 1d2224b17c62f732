-- How far can the numbers be trusted, and which landmarks are unreliable?
--
-- Shares of the video's frames by quality (see the table metrics), the mean visibility, and the landmarks whose mean
-- visibility is below 0.5, the least visible first. Of a landmark that is named, its mean visibility as well.
--
-- question words = needed
-- param landmark landmark = null : of which landmark the visibility is asked for
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : reliab*|unreliab*|trust*|quality|visib*|invisib*|hidden|occlu*|tracking|tracked|confidence|accura*|noisy
-- words : no pose, without a pose, pose|person .. lost, lose* the pose|person, nobody .. found|seen|detected
-- words : how many frames .. nobody|anybody|pose|person|hidden|visible|found|seen|detected|lost
-- words : how good is|are the
-- words : quality of the poses
SELECT
    100.0 * count(*) FILTER (quality = 'good') / max(v.frame_count) AS good_percent,
    100.0 * count(*) FILTER (quality = 'partial') / max(v.frame_count) AS partial_percent,
    100.0 * count(*) FILTER (quality = 'poor') / max(v.frame_count) AS poor_percent,
    -- Of whoever is not person 0 there is no row where he or she is not found.
    100.0 - 100.0 * count(*) FILTER (quality <> 'no_pose') / max(v.frame_count) AS no_pose_percent,
    avg(mean_visibility)::DOUBLE AS mean_visibility,
    (
        SELECT avg(visibility)::DOUBLE FROM landmarks
        WHERE video_id = $video AND person = $person AND landmark = $landmark
    ) AS landmark_visibility,
    (
        SELECT coalesce(string_agg(replace(landmark, '_', ' '), ', ' ORDER BY mean_visibility, landmark), 'none')
        FROM (
            SELECT landmark, avg(visibility) AS mean_visibility FROM landmarks
            WHERE video_id = $video AND person = $person GROUP BY landmark
        )
        WHERE mean_visibility < 0.5
    ) AS unreliable_landmarks,
    min(time_secs) AS first_secs,
    max(time_secs) AS last_secs
FROM metrics AS m
JOIN videos AS v ON v.video_id = m.video_id
WHERE m.video_id = $video AND m.person = $person
HAVING count(*) > 0;
