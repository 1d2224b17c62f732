-- How many people are in a video?
--
-- People who were tracked; somebody who was lost and found again may count twice.
--
-- question words = needed
-- question train = no
-- param video video : which video
-- words : how many people|persons|athletes|runners|players|humans
-- words : how many different people|persons, number of people|persons|athletes|runners, count .. people|persons
-- words : more than one person|runner|athlete, several people, anyone|anybody|someone|somebody else, alone
-- words : only|just one person|runner|athlete
SELECT count(*) FILTER (p.person IS NOT NULL) AS person_count
FROM videos AS v
LEFT JOIN persons AS p ON p.video_id = v.video_id
WHERE v.video_id = $video
GROUP BY v.video_id;
