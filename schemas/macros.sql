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
-- NULL where that frame has no pose, and where no time passed between the two.
CREATE MACRO landmark_speed(name, span := 1) AS TABLE
    SELECT
        p.*,
        CASE
            WHEN p.frame - lag(p.frame, span) OVER path = span
                AND p.time_secs > lag(p.time_secs, span) OVER path
            THEN sqrt((p.x_px - lag(p.x_px, span) OVER path) ** 2 + (p.y_px - lag(p.y_px, span) OVER path) ** 2)
                / (p.time_secs - lag(p.time_secs, span) OVER path)
        END AS speed_px_per_sec
    FROM (
        SELECT
            l.video_id, v.file_name, l.sport, l.person, l.frame, l.time_secs, l.landmark, l.visibility,
            l.x::DOUBLE * v.width_px AS x_px,
            l.y::DOUBLE * v.height_px AS y_px
        FROM landmarks AS l
        JOIN videos AS v ON v.video_id = l.video_id
        WHERE l.landmark = name
    ) AS p
    WINDOW path AS (PARTITION BY p.video_id, p.person ORDER BY p.frame);
