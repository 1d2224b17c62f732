"""Divides videos over tasks: pure functions.

Starting the program and loading its models takes up to a second, so short videos share a call. The
longest go first, and calls get smaller towards the end, so that no place is left with much work when
the others have none. What is left when calls would be so small that their start counts is divided
evenly, one call for each place.
"""

from __future__ import annotations

import heapq
import math
import posixpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from urllib.parse import unquote

# A call gets what is left of the work, divided by this many times the places: all places begin with
# two thirds of what would be theirs, and share what remains anew.
CALLS_OF_REST_PER_SLOT = Fraction(3, 2)
# No call gets less than the whole work divided by this many times the places.
MAX_CALLS_PER_SLOT = 8
# A call that starts for less work than this wastes a tenth of it: a core does 40 to 90 frames a
# second.
MIN_FRAMES = 1000
# The same where frames are only guessed: an even division of guesses is not even, so it is put off.
MIN_GUESSED_FRAMES = 400
# Of a phone's or an action camera's video, roughly.
BYTES_PER_FRAME = 10_000

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


@dataclass(frozen=True)
class Video:
    """A video that is to be worked on.

    Attributes:
        name: What the program is given: a path or an address, or an id in a lake.
        path: Where it is.
        n_bytes: Its size; None where nobody knows.
        aliases: Other names by which the program may tell of it.
        n_frames: As its file or the lake says; None where nobody knows.
    """

    name: str
    path: str
    n_bytes: int | None = None
    aliases: tuple[str, ...] = ()
    n_frames: int | None = None


@dataclass(frozen=True)
class Share:
    """Videos of one call, and the folder below the output folder for what is made of them."""

    videos: tuple[Video, ...]
    subfolder: str = ""


def parse_bytes(text: str) -> int:
    """Bytes of `64MiB`, `2GiB`, `500MB`, `1000`.

    Raises:
        ValueError: It is no size above 0.
    """
    match = _SIZE.fullmatch(text)
    unit = _UNITS.get(match.group(2).lower()) if match else None
    n_bytes = int(float(match.group(1)) * unit) if match and unit else 0
    if n_bytes <= 0:
        raise ValueError(f"expected a size such as 64MiB or 2GiB: {text}")
    return n_bytes


@dataclass
class _OpenShare:
    """A share that may get more videos."""

    # Of its videos together, at most.
    max_weight: Fraction
    videos: list[Video] = field(default_factory=list)
    weight: Fraction = Fraction(0)
    n_bytes: int = 0


def plan(videos: Sequence[Video], batch_bytes: int, slots: int) -> list[Share]:
    """Shares of the videos, in the order in which they are to be begun: the largest videos first.

    Videos of `batch_bytes` or more, those whose size nobody knows, and those that are shown by one
    address, have a call of their own;
    shorter ones share one, up to that size or to a part of the work that is left for `slots` places.
    """
    subfolders = output_subfolders([video.path for video in videos])
    weights, least = _weights(videos)
    total = sum(weights.values(), Fraction(0))
    left = total
    slots = max(slots, 1)
    n_of_path = Counter(video.path for video in videos)
    same_path: Counter[str] = Counter()
    shares: list[Share] = []
    open_shares: dict[str, _OpenShare] = {}
    last: dict[str, list[Video]] = {}

    def close(subfolder: str) -> None:
        shares.append(Share(tuple(open_shares.pop(subfolder).videos), subfolder))

    for video in sorted(videos, key=_by_size):
        subfolder = subfolders[video.path]
        if n_of_path[video.path] > 1:
            # Addresses that differ in what is not shown: the program tells of them by one name, and
            # calls what it makes of them alike.
            same_path[video.path] += 1
            own = posixpath.join(subfolder, str(same_path[video.path]))
            shares.append(Share((video,), own))
            left -= weights.get(video.name, Fraction(0))
            continue
        if video.n_bytes is None:
            shares.append(Share((video,), subfolder))
            continue
        weight = weights[video.name]
        share = open_shares.get(subfolder)
        if share is not None and (
            share.weight + weight > share.max_weight or share.n_bytes + video.n_bytes > batch_bytes
        ):
            close(subfolder)
            share = None
        if share is None:
            rest = left / (slots * CALLS_OF_REST_PER_SLOT)
            if rest < least:
                last.setdefault(subfolder, []).append(video)
                continue
            share = _OpenShare(max(rest, total / (slots * MAX_CALLS_PER_SLOT)))
            open_shares[subfolder] = share
        share.videos.append(video)
        share.weight += weight
        share.n_bytes += video.n_bytes
        left -= weight
    for subfolder in list(open_shares):
        close(subfolder)
    for subfolder, some in last.items():
        weight = sum((weights[video.name] for video in some), Fraction(0))
        n_shares = math.ceil(slots * weight / left) if left else 1
        shares += [
            Share(tuple(each), subfolder) for each in _evenly(some, weights, n_shares, batch_bytes)
        ]
    return sorted(shares, key=lambda share: _by_size(share.videos[0]))


def _evenly(
    videos: Sequence[Video], weights: Mapping[str, Fraction], n_shares: int, batch_bytes: int
) -> list[list[Video]]:
    """The videos in so many parts of about the same weight, or more where a part would be too large:
    each to the lightest part, the heaviest first."""
    parts: list[tuple[Fraction, int, int, list[Video]]] = [
        (Fraction(0), number, 0, []) for number in range(n_shares)
    ]
    full: list[list[Video]] = []
    for video in sorted(videos, key=lambda video: -weights[video.name]):
        weight, number, n_bytes, some = heapq.heappop(parts)
        n_bytes_with = n_bytes + (video.n_bytes or 0)
        if some and n_bytes_with > batch_bytes:
            full.append(some)
            weight, n_bytes_with, some = Fraction(0), video.n_bytes or 0, []
        some.append(video)
        heapq.heappush(parts, (weight + weights[video.name], number, n_bytes_with, some))
    return full + [some for _, _, _, some in parts if some]


def _weights(videos: Sequence[Video]) -> tuple[dict[str, Fraction], int]:
    """How much work the videos are, by their names, in frames, and how much a call should have at
    least.

    Where not all frames are known they are guessed by sizes, which tell badly: bit rates differ. So
    half of a video's weight is its size and half that of an average video. Videos whose size nobody
    knows are left out.
    """
    sizes = {video.name: video.n_bytes for video in videos if video.n_bytes is not None}
    frames = {video.name: video.n_frames for video in videos if video.n_frames is not None}
    if sizes.keys() <= frames.keys():
        return {name: Fraction(frames[name]) for name in sizes}, MIN_FRAMES
    mean = Fraction(sum(sizes.values()), max(len(sizes), 1))
    guessed = {name: (n_bytes + mean) / 2 / BYTES_PER_FRAME for name, n_bytes in sizes.items()}
    return guessed, MIN_GUESSED_FRAMES


def _by_size(video: Video) -> tuple[int, int, str]:
    """The largest first; before them those whose size nobody knows."""
    return (0 if video.n_bytes is None else 1, -(video.n_bytes or 0), video.name)


def output_subfolders(paths: Sequence[str]) -> dict[str, str]:
    """For each path a folder, so that no two calls write the same output.

    Outputs are named after videos, without their suffix. Where several share a name, the program sees
    to it in one call, but not across calls: such videos get their own folders again, below what these
    have in common, and those that even share a folder one with their whole name. All others get the
    output folder itself.
    """
    by_stem: dict[str, set[str]] = {}
    for path in paths:
        by_stem.setdefault(_stem(path), set()).add(path)
    subfolders = dict.fromkeys(paths, "")
    shared = [path for same in by_stem.values() if len(same) > 1 for path in same]
    if not shared:
        return subfolders
    folders = {path: _parts(posixpath.dirname(path)) for path in shared}
    n_common = _n_common(list(folders.values()))
    in_folder = Counter((*folders[path], _stem(path)) for path in shared)
    for path, parts in folders.items():
        is_alone = in_folder[(*parts, _stem(path))] == 1
        own = [] if is_alone else [posixpath.basename(path)]
        subfolders[path] = "/".join([*parts[n_common:], *own])
    return subfolders


def _stem(path: str) -> str:
    name = posixpath.basename(path)
    if path.startswith(("https://", "http://")):
        # As the program calls what it makes of it.
        name = unquote(name).replace("/", "_")
    return posixpath.splitext(name)[0].lower()


def _n_common(folders: Sequence[Sequence[str]]) -> int:
    """How many parts all of them begin with."""
    n_common = 0
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        n_common += 1
    return n_common


def _parts(folder: str) -> list[str]:
    """Names of folders that are safe to be made again: an address's scheme becomes one of them."""
    return [part for part in re.split(r"[/:]+", folder) if part not in ("", ".", "..")]
