WITH ranked AS (
    SELECT
        r.group_number, e.video_id, e.person, e.frame, e.time_secs, e.event, e.side,
        replace(replace(e.method, '_deg', ''), '_', ' ') AS angle,
        row_number() OVER (
            PARTITION BY e.video_id, e.event, e.side
            ORDER BY e.confidence DESC NULLS LAST, e.time_secs
        ) AS place
    FROM report_videos AS r
    JOIN events AS e ON e.video_id = r.video_id AND e.person = r.person
),
chosen AS (
    SELECT *, row_number() OVER (PARTITION BY video_id ORDER BY time_secs) AS number
    FROM ranked
    WHERE place = 1
)
SELECT
    group_number,
    video_id,
    frame,
    round(time_secs, 2) AS time_secs,
    CASE event
        WHEN 'initial_contact' THEN coalesce(side || ' ', '') || 'foot touches the ground'
        WHEN 'toe_off' THEN coalesce(side || ' ', '') || 'foot leaves the ground'
        WHEN 'take_off' THEN 'take-off'
        WHEN 'rep_lowest' THEN 'smallest angle of the ' || angle
        WHEN 'rep_highest' THEN 'largest angle of the ' || angle
        ELSE replace(event, '_', ' ')
    END AS event
FROM chosen
WHERE number <= 4
ORDER BY group_number, video_id, time_secs
