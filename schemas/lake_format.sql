-- The version of this layout; a lake of a newer version is refused rather than misread.
CREATE TABLE lake_format (
    format_version INTEGER NOT NULL,
    posedata_version VARCHAR NOT NULL
);

COMMENT ON TABLE lake_format IS 'One row: the version of the lake''s layout.';
COMMENT ON COLUMN lake_format.format_version IS 'Grows by one with every change of the tables.';
COMMENT ON COLUMN lake_format.posedata_version IS 'Version of posedata that made the lake.';
