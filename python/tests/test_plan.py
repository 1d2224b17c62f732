"""How videos are divided over tasks."""

from __future__ import annotations

import pytest

from posedata._plan import Video, output_subfolders, parse_bytes, plan

MIB = 1 << 20


def videos(*sizes: int | None) -> list[Video]:
    return [Video(f"/v/{i}.mp4", f"/v/{i}.mp4", size) for i, size in enumerate(sizes)]


def sizes(planned: list[Video], batch_bytes: int, slots: int) -> list[list[int | None]]:
    shares = plan(planned, batch_bytes, slots)
    return [[video.n_bytes for video in share.videos] for share in shares]


def test_the_largest_come_first_and_short_ones_share_a_call() -> None:
    some = videos(10, 200, 30, 30, 100, 30, 10)
    assert sizes(some, 100, 1) == [[200], [100], [30, 30, 30, 10], [10]]


def test_what_fits_exactly_fills_a_call() -> None:
    assert sizes(videos(50, 50, 50), 100, 1) == [[50, 50], [50]]
    assert sizes(videos(*[50] * 12), 100, 1)[:4] == [[50, 50]] * 4


def test_calls_get_smaller_towards_the_end() -> None:
    shares = sizes(videos(*[MIB] * 80), 64 * MIB, 2)
    assert [len(share) for share in shares] == [26, 18, 12, 8, 5, 6, 5]


def test_what_is_too_little_for_many_calls_is_divided_evenly() -> None:
    shares = sizes(videos(*[MIB] * 10), 64 * MIB, 2)
    assert [len(share) for share in shares] == [5, 5]
    frames = [230, 180, 180, 180, 180, *[100] * 7]
    clips = [Video(f"/v/{i}.mp4", f"/v/{i}.mp4", MIB, n_frames=n) for i, n in enumerate(frames)]
    planned = plan(clips, 64 * MIB, 2)
    loads = [sum(video.n_frames or 0 for video in share.videos) for share in planned]
    assert len(loads) == 2
    assert abs(loads[0] - loads[1]) <= 100
    assert len(plan(clips, 64 * MIB, 5)) == 5
    assert len(plan(clips, 64 * MIB, 100)) == len(clips)
    assert len(plan(clips, 2 * MIB, 2)) == 6


def test_known_frames_decide_and_not_bytes() -> None:
    dense = [Video(f"/d/{i}.mp4", f"/d/{i}.mp4", 50 * MIB, n_frames=100) for i in range(4)]
    thin = [Video(f"/t/{i}.mp4", f"/t/{i}.mp4", MIB, n_frames=100) for i in range(4)]
    shares = plan([*dense, *thin], 640 * MIB, 2)
    assert [len(share.videos) for share in shares] == [4, 4]


def test_many_short_videos_share_as_much_as_a_batch_holds() -> None:
    shares = sizes(videos(*[MIB] * 1000), 64 * MIB, 2)
    counts = [len(share) for share in shares]
    assert counts[:13] == [64] * 13
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == 1000


def test_sizes_are_not_taken_for_the_work_itself() -> None:
    """As many frames with a tenth of the bytes are as much work."""
    dense, thin = [10 * MIB] * 10, [MIB] * 10
    shares = sizes(videos(*dense, *thin), 640 * MIB, 2)
    assert max(len(share) for share in shares if share[0] == MIB) <= 5


def test_videos_of_unknown_size_go_first_and_alone() -> None:
    assert sizes(videos(10, None, 10, None, *[10] * 14), 20, 1)[:3] == [[None], [None], [10, 10]]
    assert sizes(videos(None, None), 100, 1) == [[None], [None]]


def test_no_video_is_lost_or_comes_twice() -> None:
    some = videos(*[(i * 7919) % 1000 for i in range(500)], None)
    for slots in (1, 3, 1000):
        for batch_bytes in (1, 500, 10**9):
            shares = plan(some, batch_bytes, slots)
            names = [video.name for share in shares for video in share.videos]
            assert sorted(names) == sorted(video.name for video in some)


def test_videos_of_one_name_write_into_folders_of_their_own() -> None:
    found = output_subfolders(["/d/a/clip.mp4", "/d/b/clip.mov", "/d/b/clip.MP4", "/d/b/other.mp4"])
    assert found == {
        "/d/a/clip.mp4": "a",
        "/d/b/clip.mov": "b/clip.mov",
        "/d/b/clip.MP4": "b/clip.MP4",
        "/d/b/other.mp4": "",
    }
    assert output_subfolders(["s3://x/1/c.mp4", "/y/c.mp4"]) == {
        "s3://x/1/c.mp4": "s3/x/1",
        "/y/c.mp4": "y",
    }
    # In a web address names are encoded.
    assert output_subfolders(["https://x/1/a%20b.mp4", "/y/a b.mp4"]) == {
        "https://x/1/a%20b.mp4": "https/x/1",
        "/y/a b.mp4": "y",
    }


def test_videos_of_one_call_write_into_one_folder() -> None:
    some = [Video(p, p, 10) for p in ("/d/a/1.mp4", "/d/a/2.mp4", "/d/b/1.mp4", "/d/b/3.mp4")]
    shares = plan(some * 1, 40, 1)
    for share in shares:
        assert {output_subfolders([v.path for v in some])[v.path] for v in share.videos} == {
            share.subfolder
        }


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("64MiB", 64 * MIB), ("2 GiB", 2 << 30), ("1.5GB", 1_500_000_000), ("1000", 1000), ("7B", 7)],
)
def test_sizes_are_read_with_their_units(text: str, n_bytes: int) -> None:
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "0", "-1MiB", "MiB", "4 parsecs", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_bytes(text)
