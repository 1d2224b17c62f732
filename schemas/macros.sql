-- Functions for queries over the lake.

-- Distance of two points in 3D, in the points' unit.
CREATE MACRO distance_3d(x1, y1, z1, x2, y2, z2) AS
    sqrt((x1 - x2) ** 2 + (y1 - y2) ** 2 + (z1 - z2) ** 2);

-- Angle in degrees, 0..180, at the second of three points between the directions to the first and
-- the third; NULL when one of those coincides with the second.
CREATE MACRO angle_deg(x1, y1, z1, x2, y2, z2, x3, y3, z3) AS
    CASE
        WHEN distance_3d(x1, y1, z1, x2, y2, z2) > 0 AND distance_3d(x3, y3, z3, x2, y2, z2) > 0
        THEN degrees(atan2(
            sqrt(
                ((y1 - y2) * (z3 - z2) - (z1 - z2) * (y3 - y2)) ** 2
                + ((z1 - z2) * (x3 - x2) - (x1 - x2) * (z3 - z2)) ** 2
                + ((x1 - x2) * (y3 - y2) - (y1 - y2) * (x3 - x2)) ** 2
            ),
            (x1 - x2) * (x3 - x2) + (y1 - y2) * (y3 - y2) + (z1 - z2) * (z3 - z2)
        ))
    END;

-- One landmark's path with its speed, per frame: x_px, y_px, speed_px_per_sec. The speed is the
-- distance to the same landmark `span` frames before over the true time between the two frames;
-- NULL where that frame has no pose, where no time has passed since (or less than a twentieth of
-- the upper quartile of the nine steps before, as where a container adds a tick to a time that
-- comes twice), and where a pause of the recording lies between. A pause is a step from frame to
-- frame of more than 0.1 s that is longer than five times the median of the nine steps before it
-- (of more than 1 s where there is none).
CREATE MACRO landmark_speed(name, span := 1) AS TABLE
    SELECT
        q.* EXCLUDE (is_pause, shortest_secs),
        CASE
            WHEN q.frame - lag(q.frame, span) OVER path = span
                AND q.time_secs - lag(q.time_secs, span) OVER path > q.shortest_secs
                AND NOT bool_or(q.is_pause) OVER (
                    PARTITION BY q.video_id, q.person ORDER BY q.frame
                    ROWS BETWEEN (span - 1) PRECEDING AND CURRENT ROW
                )
            THEN sqrt((q.x_px - lag(q.x_px, span) OVER path) ** 2 + (q.y_px - lag(q.y_px, span) OVER path) ** 2)
                / (q.time_secs - lag(q.time_secs, span) OVER path)
        END AS speed_px_per_sec
    FROM (
        SELECT
            p.* EXCLUDE (step_secs),
            coalesce(abs(p.step_secs) > greatest(5 * coalesce(median(if(p.step_secs > 0, p.step_secs, NULL)) OVER (
                PARTITION BY p.video_id, p.person ORDER BY p.frame ROWS BETWEEN 9 PRECEDING AND 1 PRECEDING
            ), 0.2), 0.1) * (1 + 1e-6), false) AS is_pause,
            coalesce(quantile_disc(if(p.step_secs > 0, p.step_secs, NULL), 0.75) OVER (
                PARTITION BY p.video_id, p.person ORDER BY p.frame ROWS BETWEEN 9 PRECEDING AND 1 PRECEDING
            ) / 20, 0) AS shortest_secs
        FROM (
            SELECT
                l.video_id, v.file_name, l.sport, l.person, l.frame, l.time_secs, l.landmark, l.visibility,
                l.x::DOUBLE * v.width_px AS x_px,
                l.y::DOUBLE * v.height_px AS y_px,
                (l.time_secs - lag(l.time_secs) OVER seen) / (l.frame - lag(l.frame) OVER seen) AS step_secs
            FROM landmarks AS l
            JOIN videos AS v ON v.video_id = l.video_id
            WHERE l.landmark = name
            WINDOW seen AS (PARTITION BY l.video_id, l.person ORDER BY l.frame)
        ) AS p
    ) AS q
    WINDOW path AS (PARTITION BY q.video_id, q.person ORDER BY q.frame);
