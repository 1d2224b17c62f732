-- One row per instruction dataset; building one again under the same name replaces its row.
CREATE TABLE datasets (
    dataset VARCHAR NOT NULL,
    folder VARCHAR NOT NULL,
    built_at TIMESTAMP NOT NULL,
    posedata_version VARCHAR NOT NULL,
    lake_snapshot BIGINT NOT NULL,
    seed UBIGINT NOT NULL,
    base VARCHAR NOT NULL,
    max_tokens INTEGER NOT NULL,
    train_count BIGINT NOT NULL,
    valid_count BIGINT NOT NULL,
    synthetic_count BIGINT NOT NULL,
    content_blake3 VARCHAR NOT NULL,
    manifest VARCHAR NOT NULL
);

COMMENT ON TABLE datasets IS 'Instruction datasets that were built from this lake (`posedata dataset build`).';
COMMENT ON COLUMN datasets.dataset IS 'Name of the dataset.';
COMMENT ON COLUMN datasets.folder IS 'Absolute path of the dataset''s files.';
COMMENT ON COLUMN datasets.built_at IS 'Time when the dataset was last written, UTC.';
COMMENT ON COLUMN datasets.posedata_version IS 'Version of posedata that built it.';
COMMENT ON COLUMN datasets.lake_snapshot IS 'Snapshot of the lake that its facts were read from; `posedata query --at` reads it.';
COMMENT ON COLUMN datasets.seed IS 'Seed of every choice that was left to chance.';
COMMENT ON COLUMN datasets.base IS 'Base model whose tokenizer counted tokens.';
COMMENT ON COLUMN datasets.max_tokens IS 'Most tokens that an example may have, answer included.';
COMMENT ON COLUMN datasets.train_count IS 'Examples to train on, synthetic ones included.';
COMMENT ON COLUMN datasets.valid_count IS 'Examples of the validation videos.';
COMMENT ON COLUMN datasets.synthetic_count IS 'Examples whose words a language model wrote (`posedata synth`).';
COMMENT ON COLUMN datasets.content_blake3 IS 'BLAKE3 hash of the dataset''s examples (64 hex digits); the same hash is the same dataset.';
COMMENT ON COLUMN datasets.manifest IS 'The dataset''s dataset.json: settings, recipes with their hashes, videos.';
