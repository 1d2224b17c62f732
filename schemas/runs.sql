-- One row per run of a command that worked on the lake. A run that found everything in the lake
-- already leaves no row, and neither does one that was killed.
CREATE TABLE runs (
    run_id VARCHAR NOT NULL,
    command VARCHAR NOT NULL,
    command_line VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    elapsed_secs DOUBLE NOT NULL,
    outcome VARCHAR NOT NULL,
    posedata_version VARCHAR NOT NULL,
    config JSON NOT NULL,
    os VARCHAR NOT NULL,
    cpu VARCHAR NOT NULL,
    cores INTEGER NOT NULL,
    memory_bytes BIGINT NOT NULL,
    videos_ingested BIGINT NOT NULL,
    videos_replaced BIGINT NOT NULL,
    videos_skipped BIGINT NOT NULL,
    videos_failed BIGINT NOT NULL,
    frames BIGINT NOT NULL,
    stages JSON NOT NULL,
    peak_memory_bytes BIGINT,
    memory_budget_bytes BIGINT,
    errors JSON NOT NULL,
    provider VARCHAR
);

COMMENT ON TABLE runs IS 'The runs that worked on the lake: what was run when, with which settings, on what machine, and what became of it.';
COMMENT ON COLUMN runs.run_id IS 'Identity of the run; in the order of their starts.';
COMMENT ON COLUMN runs.command IS 'Command of posedata, such as ingest.';
COMMENT ON COLUMN runs.command_line IS 'The whole command line, quoted for a shell; secrets are replaced by ***.';
COMMENT ON COLUMN runs.started_at IS 'Time of the start, UTC.';
COMMENT ON COLUMN runs.elapsed_secs IS 'Time from start to end, in seconds.';
COMMENT ON COLUMN runs.outcome IS 'ok; some_failed: some videos failed, the others are in the lake; failed: the command could not do its work; interrupted.';
COMMENT ON COLUMN runs.posedata_version IS 'Version of posedata.';
COMMENT ON COLUMN runs.config IS 'The validated settings of the run, after defaults.';
COMMENT ON COLUMN runs.os IS 'Operating system and its version.';
COMMENT ON COLUMN runs.cpu IS 'Name of the processor.';
COMMENT ON COLUMN runs.cores IS 'Logical cores that the process could use.';
COMMENT ON COLUMN runs.memory_bytes IS 'Memory of the machine or of the cgroup around the process, in bytes.';
COMMENT ON COLUMN runs.videos_ingested IS 'Videos that were new to the lake.';
COMMENT ON COLUMN runs.videos_replaced IS 'Videos whose rows took the place of earlier ones.';
COMMENT ON COLUMN runs.videos_skipped IS 'Videos that were in the lake already.';
COMMENT ON COLUMN runs.videos_failed IS 'Videos that failed, see errors.';
COMMENT ON COLUMN runs.frames IS 'Frames that went through the pose models and into the lake.';
COMMENT ON COLUMN runs.stages IS 'Seconds that each stage was busy, all videos together, by name; stages overlap.';
COMMENT ON COLUMN runs.peak_memory_bytes IS 'The most memory that the process had resident, in bytes; NULL where the system does not tell.';
COMMENT ON COLUMN runs.memory_budget_bytes IS 'Memory that the run was allowed, in bytes; NULL where no limit was set.';
COMMENT ON COLUMN runs.errors IS 'List of what failed: path (null where it was no file) and message.';
COMMENT ON COLUMN runs.provider IS 'What the pose models ran on: native (posedata''s own code), cpu (ONNX Runtime''s), openvino or cuda. NULL where none ran, and in rows from before there was this column.';
