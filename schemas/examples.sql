-- One row per example of a dataset.
CREATE TABLE examples (
    example_id VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,
    prompt_hash VARCHAR,
    video_id VARCHAR NOT NULL,
    person SMALLINT NOT NULL,
    frame_start INTEGER NOT NULL,
    frame_end INTEGER NOT NULL,
    sport VARCHAR NOT NULL,
    facts VARCHAR NOT NULL,
    system VARCHAR NOT NULL,
    question VARCHAR NOT NULL,
    data VARCHAR NOT NULL,
    answer VARCHAR NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    dataset VARCHAR NOT NULL
);

ALTER TABLE examples SET PARTITIONED BY (dataset);

COMMENT ON TABLE examples IS 'The examples of the datasets, each with the frames it speaks of.';
COMMENT ON COLUMN examples.example_id IS 'Number of the chat within its dataset, padded with zeros; of a further question about the same data with its number behind it (0042-2).';
COMMENT ON COLUMN examples.task IS 'Recipe that chose the facts.';
COMMENT ON COLUMN examples.split IS 'train, valid or test; all examples of a video have the same.';
COMMENT ON COLUMN examples.origin IS 'Who wrote the words: recipe, or provider and model (openai:MODEL).';
COMMENT ON COLUMN examples.prompt_hash IS 'BLAKE3 hash of what the provider was asked; NULL for examples of recipes.';
COMMENT ON COLUMN examples.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN examples.person IS 'Number of the person within the video, from 0.';
COMMENT ON COLUMN examples.frame_start IS 'First frame that the example speaks of.';
COMMENT ON COLUMN examples.frame_end IS 'Last frame that the example speaks of.';
COMMENT ON COLUMN examples.sport IS 'Sport or activity, see videos.sport.';
COMMENT ON COLUMN examples.facts IS 'The row that the recipe''s SQL gave, as JSON.';
COMMENT ON COLUMN examples.system IS 'What the model is told of its part.';
COMMENT ON COLUMN examples.question IS 'The question, without its data.';
COMMENT ON COLUMN examples.data IS 'The data that the question comes with, as a compact table.';
COMMENT ON COLUMN examples.answer IS 'The answer; where the recipe has steps, they stand before it, and a line that begins with Answer: ends them.';
COMMENT ON COLUMN examples.prompt_tokens IS 'Tokens before the answer; of a further question those since the answer before.';
COMMENT ON COLUMN examples.answer_tokens IS 'Tokens of the answer with its end mark.';
COMMENT ON COLUMN examples.dataset IS 'Dataset, see datasets.dataset; partition of the files.';
