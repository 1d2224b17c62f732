-- One row per ingested video.
CREATE TABLE videos (
    video_id VARCHAR NOT NULL,
    sport VARCHAR NOT NULL,
    file_name VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    file_bytes BIGINT NOT NULL,
    width_px INTEGER NOT NULL,
    height_px INTEGER NOT NULL,
    rotation_deg SMALLINT NOT NULL,
    codec VARCHAR NOT NULL,
    fps DOUBLE,
    frame_count BIGINT NOT NULL,
    duration_secs DOUBLE NOT NULL,
    pose_frame_count BIGINT NOT NULL,
    pose_model VARCHAR NOT NULL,
    pose_model_sha256 VARCHAR NOT NULL,
    config JSON NOT NULL,
    config_hash VARCHAR NOT NULL,
    posedata_version VARCHAR NOT NULL,
    ingested_at TIMESTAMP NOT NULL,
    main_person SMALLINT,
    coded_width_px INTEGER,
    coded_height_px INTEGER,
    mirrored BOOLEAN,
    color_transfer VARCHAR,
    size_changes JSON,
    corrupt_frame_count BIGINT,
    slow_motion_factor DOUBLE,
    capture_fps DOUBLE,
    source_etag VARCHAR,
    first_frame BIGINT,
    range_from VARCHAR,
    range_to VARCHAR,
    provider VARCHAR
);

COMMENT ON TABLE videos IS 'One row per ingested video.';
COMMENT ON COLUMN videos.video_id IS 'First 32 hex digits of the BLAKE3 hash of the file''s bytes; the same video has the same id wherever it lies.';
COMMENT ON COLUMN videos.sport IS 'Sport or activity given at ingest (--sport-type); the data''s partition.';
COMMENT ON COLUMN videos.file_name IS 'Name of the file without its folder.';
COMMENT ON COLUMN videos.path IS 'Absolute path of the file when it was ingested.';
COMMENT ON COLUMN videos.file_bytes IS 'Size of the file in bytes.';
COMMENT ON COLUMN videos.width_px IS 'Width of the picture as displayed, with square pixels and after rotation, in pixels; of the first picture, to whose size later ones are scaled.';
COMMENT ON COLUMN videos.height_px IS 'Height of the picture as displayed, with square pixels and after rotation, in pixels; of the first picture, to whose size later ones are scaled.';
COMMENT ON COLUMN videos.rotation_deg IS 'Clockwise turn from the stored (and, where mirrored, mirrored) to the displayed picture: 0, 90, 180 or 270 degrees; the nearest of these where the file states another angle.';
COMMENT ON COLUMN videos.codec IS 'Codec tag (FOURCC) of the video stream.';
COMMENT ON COLUMN videos.fps IS 'Mean frames per second while pictures were taken, from the true timestamps: pauses are left out; NULL where no time passes.';
COMMENT ON COLUMN videos.frame_count IS 'Frames with rows, with or without a pose.';
COMMENT ON COLUMN videos.duration_secs IS 'Time from the first frame with rows to the end of the last, in seconds.';
COMMENT ON COLUMN videos.pose_frame_count IS 'Frames with at least one pose.';
COMMENT ON COLUMN videos.pose_model IS 'Pose model: lite, full or heavy, or the name of the file of another one (--pose-onnx) without its suffix; config has its skeleton.';
COMMENT ON COLUMN videos.pose_model_sha256 IS 'SHA-256 of the landmark model''s source file, or of the ONNX file of another one (--pose-onnx).';
COMMENT ON COLUMN videos.config IS 'Everything that shaped the rows: model, thresholds, smoothing, schema version.';
COMMENT ON COLUMN videos.config_hash IS 'BLAKE3 of config (32 hex digits); an ingest with the same hash has nothing to do.';
COMMENT ON COLUMN videos.posedata_version IS 'Version of posedata that wrote the rows.';
COMMENT ON COLUMN videos.ingested_at IS 'Time of the commit, UTC.';
COMMENT ON COLUMN videos.main_person IS 'Number of the person whom exports, plots and annotations show unless told otherwise (--pick), see persons; NULL where nobody was found, and in rows from before there was this column.';
COMMENT ON COLUMN videos.coded_width_px IS 'Width of the first picture as it is stored, before pixels are made square and before rotation; NULL in rows from before there was this column.';
COMMENT ON COLUMN videos.coded_height_px IS 'Height of the first picture as it is stored, before pixels are made square and before rotation; NULL in rows from before there was this column.';
COMMENT ON COLUMN videos.mirrored IS 'Whether the stored picture is mirrored, left to right, before it is turned by rotation_deg to be displayed, as the file''s display matrix says; NULL in rows from before there was this column.';
COMMENT ON COLUMN videos.color_transfer IS 'Transfer characteristics of the stored pictures by FFmpeg''s name; arib-std-b67 (HLG) and smpte2084 (PQ) are brought down to BT.709 before poses are estimated; NULL where the file does not say.';
COMMENT ON COLUMN videos.size_changes IS 'JSON list of the frames from which on the picture has another size, shape or orientation (frame, width_px, height_px as displayed; the first 1000); such pictures are scaled to width_px x height_px, those of another shape fitted in whole and centred between black borders. NULL where nothing changes.';
COMMENT ON COLUMN videos.corrupt_frame_count IS 'Frames that the decoder reports as damaged, and pictures that it could not decode at all. A damaged frame keeps its row in metrics with its time, but has no pose; what could not be decoded has no row. NULL in rows from before there was this column.';
COMMENT ON COLUMN videos.slow_motion_factor IS 'How many times slower the file plays than things happened (--slow-motion, --capture-fps), > 0: every time, speed and rate in the lake is in real seconds, the file''s divided by this. Below 1 for a time lapse. NULL where the file''s times were taken as they are, and in rows from before there was this column.';
COMMENT ON COLUMN videos.capture_fps IS 'Frames per second at which the pictures were taken, as --capture-fps or the camera''s tag in the file says (com.android.capture.fps), > 0; recorded whether or not times follow it, see slow_motion_factor. NULL where neither says so, and in rows from before there was this column.';
COMMENT ON COLUMN videos.source_etag IS 'For a video that was fetched from path (s3:// or https://): what its server called this content (ETag), by which a later run knows that it has not changed. NULL for a video on a disk, where the server gives none, and in rows from before there was this column.';
COMMENT ON COLUMN videos.first_frame IS 'Number in the file of the first frame with rows: 0, or more where only a part of the video was ingested (--from). Frames and times of a part are those of the file. NULL in rows from before there was this column, which stands for 0.';
COMMENT ON COLUMN videos.range_from IS 'Where the part that was ingested begins, as --from takes it: seconds of the file''s own clock (12.5) or a frame (300f). NULL: with the first frame.';
COMMENT ON COLUMN videos.range_to IS 'Where the part that was ingested ends, without the frame at that place, as --to takes it. NULL: with the last frame.';
COMMENT ON COLUMN videos.provider IS 'What the pose models ran on: native (posedata''s own code), cpu (ONNX Runtime''s), openvino or cuda; other than the settings in config, it makes no difference beyond the noise of tracking. NULL in rows from before there was this column.';
