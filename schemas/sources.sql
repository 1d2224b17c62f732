-- One row per further address at which a store has the content of a video.
CREATE TABLE sources (
    video_id VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    source_etag VARCHAR NOT NULL
);

COMMENT ON TABLE sources IS 'Where stores have the content of videos beside videos.path: copies, and videos that were given another name. What is here is not fetched again.';
COMMENT ON COLUMN sources.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN sources.path IS 'Address, s3://… or https://…, without what a signed address has behind its question mark.';
COMMENT ON COLUMN sources.source_etag IS 'What the store calls the content, as in videos.source_etag.';
