-- One row per data file of the current snapshot, so that damage on the disk can be told.
CREATE TABLE files (
    path VARCHAR NOT NULL,
    table_name VARCHAR NOT NULL,
    video_id VARCHAR,
    row_count BIGINT NOT NULL,
    byte_size BIGINT NOT NULL,
    blake3 VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

COMMENT ON TABLE files IS 'The lake''s Parquet files with their checksums; `posedata lake check` compares them with the disk.';
COMMENT ON COLUMN files.path IS 'Path of the file below the lake''s folder data.';
COMMENT ON COLUMN files.table_name IS 'Table whose rows the file holds.';
COMMENT ON COLUMN files.video_id IS 'Video whose rows the file holds, see videos.video_id; NULL where `posedata lake compact` has put several videos into one file.';
COMMENT ON COLUMN files.row_count IS 'Rows in the file.';
COMMENT ON COLUMN files.byte_size IS 'Size of the file in bytes.';
COMMENT ON COLUMN files.blake3 IS 'BLAKE3 hash of the file''s bytes, 64 hex digits.';
COMMENT ON COLUMN files.recorded_at IS 'Time when the checksum was recorded, UTC.';
