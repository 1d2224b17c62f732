# %% [markdown]
# # posedata in a notebook
#
# The package calls the program `posedata`; all that it needs of Python is pyarrow, for tables.
# This notebook was run from a folder with the clip that `posedata models add single_cam01` fetches.

# %%
from pathlib import Path

import posedata

LAKE = Path("lake")

# %% [markdown]
# ## Videos into a lake
#
# `ingest` takes videos, folders and addresses.
# Its callback gets every event of the program: which video has begun, how many frames are done, what came of it.


# %%
def show(event: posedata.Event) -> None:
    if event.event == "committed":
        print(
            f"{event.video}: {event.outcome}, {event.pose_frames} of {event.frames} frames with a pose"
        )


result = posedata.ingest(["clips"], lake=LAKE, progress=show, options=["--no-video"])
result.failed

# %% [markdown]
# What is in the lake already is skipped.

# %%
[video.outcome for video in posedata.ingest(["clips"], lake=LAKE).videos]

# %% [markdown]
# ## Questions
#
# `query` takes SQL, a file with SQL, or the name of a query that comes with posedata, and gives a `pyarrow.Table`.

# %%
table = posedata.query(
    """
    select frame, time_secs, left_knee_deg, right_knee_deg
    from metrics where quality = $quality order by frame
    """,
    lake=LAKE,
    params={"quality": "good"},
)
table.schema

# %% [markdown]
# From there it goes on to pandas (or, with `polars.from_arrow`, to Polars).

# %%
knees = table.to_pandas()
knees[["left_knee_deg", "right_knee_deg"]].describe().round(1)

# %%
posedata.query("range_of_motion", lake=LAKE).to_pandas().head()

# %% [markdown]
# ## Errors
#
# What the program says is in the exception, with its exit code.

# %%
try:
    posedata.query("select left_knee from metrics", lake=LAKE)
except posedata.PosedataError as error:
    print(f"exit code {error.exit_code}: {error}")
