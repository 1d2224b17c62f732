-- Functions for queries over the lake.

-- Distance of two points in 3D, in the points' unit.
CREATE MACRO distance_3d(ax, ay, az, bx, by, bz) AS
    sqrt((ax - bx) ** 2 + (ay - by) ** 2 + (az - bz) ** 2);

-- Angle in degrees, 0..180, at the vertex v between a and b; NULL when a or b lies on v.
CREATE MACRO angle_deg(ax, ay, az, vx, vy, vz, bx, by, bz) AS
    CASE
        WHEN distance_3d(ax, ay, az, vx, vy, vz) > 0 AND distance_3d(bx, by, bz, vx, vy, vz) > 0
        THEN degrees(atan2(
            sqrt(
                ((ay - vy) * (bz - vz) - (az - vz) * (by - vy)) ** 2
                + ((az - vz) * (bx - vx) - (ax - vx) * (bz - vz)) ** 2
                + ((ax - vx) * (by - vy) - (ay - vy) * (bx - vx)) ** 2
            ),
            (ax - vx) * (bx - vx) + (ay - vy) * (by - vy) + (az - vz) * (bz - vz)
        ))
    END;

-- One landmark's path with its speed, per frame: x_px, y_px, speed_px_per_sec. The speed is the
-- distance to the same landmark `span` frames before over the true time between the two frames;
-- NULL where that frame has no pose.
CREATE MACRO landmark_speed(name, span := 1) AS TABLE
    SELECT
        p.*,
        CASE
            WHEN p.frame - lag(p.frame, span) OVER path = span
            THEN sqrt((p.x_px - lag(p.x_px, span) OVER path) ** 2 + (p.y_px - lag(p.y_px, span) OVER path) ** 2)
                / nullif(p.time_secs - lag(p.time_secs, span) OVER path, 0)
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
