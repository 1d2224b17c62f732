-- How many people are in a video?
--
-- People who were tracked; somebody who was lost and found again may count twice.
--
-- question train = no
-- param video video : which video
SELECT count(*) FILTER (p.person IS NOT NULL) AS person_count
FROM videos AS v
LEFT JOIN persons AS p ON p.video_id = v.video_id
WHERE v.video_id = $video
GROUP BY v.video_id;
