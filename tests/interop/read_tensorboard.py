"""Prints what TensorBoard's own reader finds in a folder of event files: each scalar's tag with its
steps and values, as JSON."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main():
    reader = EventAccumulator(sys.argv[1])
    reader.Reload()
    tags = reader.Tags()["scalars"]
    found = {tag: [[e.step, e.value] for e in reader.Scalars(tag)] for tag in tags}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
