-- One row per training run, also when it took several sessions; one that was killed has none yet.
CREATE TABLE training_runs (
    run_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP NOT NULL,
    outcome VARCHAR NOT NULL,
    error VARCHAR,
    posedata_version VARCHAR NOT NULL,
    base VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL,
    dataset_snapshot BIGINT,
    data_blake3 VARCHAR NOT NULL,
    settings JSON NOT NULL,
    train_examples BIGINT NOT NULL,
    valid_examples BIGINT NOT NULL,
    parameters BIGINT,
    steps BIGINT,
    epochs DOUBLE,
    tokens BIGINT,
    first_train_loss DOUBLE,
    last_train_loss DOUBLE,
    first_valid_loss DOUBLE,
    last_valid_loss DOUBLE,
    best_valid_loss DOUBLE,
    best_step BIGINT,
    training_secs DOUBLE,
    tokens_per_sec DOUBLE,
    peak_memory_bytes BIGINT,
    folder VARCHAR NOT NULL
);

COMMENT ON TABLE training_runs IS 'Adapters that were trained (`posedata train`): on what, with which settings, and with what losses.';
COMMENT ON COLUMN training_runs.run_id IS 'Identity of the run; a resumed run keeps it.';
COMMENT ON COLUMN training_runs.name IS 'Name of the run and of its folder.';
COMMENT ON COLUMN training_runs.started_at IS 'Time when the run began, UTC.';
COMMENT ON COLUMN training_runs.ended_at IS 'Time when it ended, or the newest session of a resumed run did, UTC.';
COMMENT ON COLUMN training_runs.outcome IS 'finished; stopped_early: evaluations became no better; out_of_time: the time limit was reached; interrupted; failed.';
COMMENT ON COLUMN training_runs.error IS 'Why a failed run failed; else NULL.';
COMMENT ON COLUMN training_runs.posedata_version IS 'Version of posedata.';
COMMENT ON COLUMN training_runs.base IS 'Base model, as it was given.';
COMMENT ON COLUMN training_runs.dataset IS 'Name of the dataset, see datasets.dataset, or the path of the file.';
COMMENT ON COLUMN training_runs.dataset_snapshot IS 'Snapshot of the lake that the dataset was built from; NULL for a file from elsewhere.';
COMMENT ON COLUMN training_runs.data_blake3 IS 'BLAKE3 hash of all tokens and of which of them are learned (64 hex digits); the same hash is the same data.';
COMMENT ON COLUMN training_runs.settings IS 'All that decides about the run''s numbers: options of the command with their values, hashes of base and data.';
COMMENT ON COLUMN training_runs.train_examples IS 'Examples that were trained on.';
COMMENT ON COLUMN training_runs.valid_examples IS 'Examples that validated.';
COMMENT ON COLUMN training_runs.parameters IS 'Numbers of the adapter. This and what follows is NULL where a run failed.';
COMMENT ON COLUMN training_runs.steps IS 'Updates of the adapter.';
COMMENT ON COLUMN training_runs.epochs IS 'How often everything was learned.';
COMMENT ON COLUMN training_runs.tokens IS 'Tokens of all steps, repeated ones counted again.';
COMMENT ON COLUMN training_runs.first_train_loss IS 'Mean negative log-likelihood of the first step''s targets before it, in nats.';
COMMENT ON COLUMN training_runs.last_train_loss IS 'The same of the last step.';
COMMENT ON COLUMN training_runs.first_valid_loss IS 'Mean negative log-likelihood of the valid split''s targets before the first step, in nats: the base model''s. NULL without a valid split.';
COMMENT ON COLUMN training_runs.last_valid_loss IS 'The same of the newest evaluation.';
COMMENT ON COLUMN training_runs.best_valid_loss IS 'The same of the best evaluation, whose adapter is the result.';
COMMENT ON COLUMN training_runs.best_step IS 'Steps done before the best evaluation.';
COMMENT ON COLUMN training_runs.training_secs IS 'Time of all sessions from their first step on, with evaluations, in seconds.';
COMMENT ON COLUMN training_runs.tokens_per_sec IS 'Tokens a second, in steps alone.';
COMMENT ON COLUMN training_runs.peak_memory_bytes IS 'The most memory that the newest session had resident, in bytes; NULL where the system does not tell.';
COMMENT ON COLUMN training_runs.folder IS 'Absolute path of the adapter''s folder.';
