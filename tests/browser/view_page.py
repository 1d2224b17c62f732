"""Drives the page of `posedata view` in a real browser.

    view_page.py URL frames|page

URL is what `posedata view --no-open` prints. The lake holds clips whose pictures show their frames'
numbers as bars (`tests/it/browser.rs` makes them) and a clip of a person. Prints a line for
each check; fails at the first one that does not hold.
"""

import csv
import re
import sys
import urllib.parse

import browser

VARIABLE, NTSC, FAST, COPIED = "variable.mp4", "ntsc.mp4", "fast.mp4", "copied.avi"
PART, COPIED_PART = "part.mp4", "copied_part.avi"
TURNED, FRAGMENTED = "turned.mp4", "fragmented.mp4"
PERSON = "person.mp4"
HOSTILE = "<img src=x onerror=\"document.title='broken'\">.mp4"


def main():
    url, part = sys.argv[1:]
    with browser.opened(url) as page:
        videos = browser.videos(page)
        {"frames": check_frames, "page": check_page}[part](page, videos)
        check_no_problems(page)


def check_frames(page, videos):
    """The overlay belongs to the picture that is shown, always."""
    check_video_is_played(page)
    for name in (VARIABLE, NTSC, FAST, PART, FRAGMENTED):
        check_steps(page, videos[name])
        check_play(page, videos[name])
        check_jumps(page, videos[name])
        check_steps_are_at_hand(page, videos[name], is_decoded=name != FRAGMENTED)
    for name in (NTSC, TURNED):
        check_decoded_looks_as_played(page, videos[name])
    check_part(page, videos[PART])
    check_part_beside(page, videos[PART], videos[NTSC])
    check_proxy(page, videos[COPIED])
    check_proxy(page, videos[COPIED_PART])
    check_slowest_speed(page, videos[VARIABLE])
    check_untold(page, videos)


def check_page(page, videos):
    """The parts of the page."""
    check_names_are_text(page, videos)
    check_keys(page, videos[PERSON])
    check_curves(page, videos[PERSON])
    check_compare(page, videos[VARIABLE], videos[NTSC])
    check_sql(page, videos[PERSON])
    check_take_away(page, videos[PERSON])
    check_address(page, videos[PERSON])
    check_search(page, videos)
    browser.go(page, videos[PERSON], frame=9, curves="metrics.left_knee_deg")
    for scheme in ("light", "dark"):
        check_contrast(page, scheme)


def told(name, text):
    print(f"{name}: {text}", flush=True)


def check_video_is_played(page):
    answer = page.evaluate(
        "document.createElement('video').canPlayType('video/mp4; codecs=\"avc1.42E01E\"')"
    )
    assert answer == "probably", f"this browser does not play H.264: {answer!r}"


def check_steps(page, video):
    """Every frame forward and backward: picture and number are the frame's."""
    first, last = ends(video)
    browser.go(page, video)
    page.wait_for_function("() => !document.querySelector('.stage .note') || document.querySelector('.stage .note').hidden")
    way = [("ArrowRight", frame) for frame in range(first + 1, last + 1)]
    way += [("ArrowLeft", frame) for frame in range(last - 1, first - 1, -1)]
    assert browser.last(page) == (first, first), browser.last(page)
    for key, frame in way:
        page.keyboard.press(key)
        browser.wait_for_frame(page, frame)
        number, bars = browser.last(page)
        assert (number, bars) == (frame, frame), f"frame {frame} shows {number} over picture {bars}"
    check_all_drawn(page)
    # At the ends there is nothing more, also where the file goes on.
    for key, end in [("ArrowLeft", first), ("End", last), ("ArrowRight", last)]:
        page.keyboard.press(key)
        page.wait_for_timeout(150)
        browser.wait_for_frame(page, end)
    check_all_drawn(page)
    told(video["file_name"], f"{len(way)} steps over {last - first + 1} frames, pictures and numbers equal")


def ends(video):
    """Numbers of the first and the last frame."""
    return video["first_frame"], video["first_frame"] + video["frame_count"] - 1


def check_jumps(page, video):
    """Somewhere, and back from there: over frames that were never shown before."""
    first, last = ends(video)
    page.reload()
    for place in (0.9, 0.4, 0.65):
        frame = first + int(place * (last - first))
        browser.go(page, video, frame=frame)
        assert browser.last(page) == (frame, frame), browser.last(page)
        for back in range(1, 16):
            page.keyboard.press("ArrowLeft")
            browser.wait_for_frame(page, frame - back)
            assert browser.last(page) == (frame - back, frame - back), browser.last(page)
        page.keyboard.press("Shift+ArrowRight")
        browser.wait_for_frame(page, frame - 5)
        page.keyboard.press("Shift+ArrowLeft")
        browser.wait_for_frame(page, frame - 15)
    check_all_drawn(page)
    told(video["file_name"], "jumps and steps back from there, pictures and numbers equal")


def check_steps_are_at_hand(page, video, is_decoded):
    """Pictures on both sides of the shown one are decoded ahead: no step waits for the player."""
    middle = video["first_frame"] + video["frame_count"] // 2
    page.evaluate("seen.decoded = 0")
    page.reload()
    browser.go(page, video, frame=middle)
    page.wait_for_timeout(500)
    if not is_decoded:
        assert page.evaluate("seen.decoded") == 0, "a file in fragments has no table of samples"
        return
    page.wait_for_function("() => seen.decoded > 0")
    page.evaluate("seen.moved = 0")
    way = [("ArrowRight", middle + on) for on in range(1, 11)]
    way += [("ArrowLeft", middle + 10 - back) for back in range(1, 21)]
    for key, frame in way:
        page.keyboard.press(key)
        browser.wait_for_frame(page, frame)
    check_all_drawn(page)
    moved = page.evaluate("seen.moved")
    assert moved == 0, f"{moved} of {len(way)} steps had to wait for the player"
    told(video["file_name"], f"{len(way)} steps about a frame, all of them decoded ahead")


def check_decoded_looks_as_played(page, video):
    """A frame is painted alike, whether the player or the decoder gave the picture."""
    frame = 8
    page.reload()
    browser.go(page, video, frame=frame)
    played = page.evaluate(PIXELS)
    page.wait_for_function("() => seen.decoded > 0")
    for key, other in [("ArrowRight", frame + 1), ("ArrowLeft", frame)]:
        page.evaluate("seen.moved = 0")
        page.keyboard.press(key)
        browser.wait_for_frame(page, other)
        assert page.evaluate("seen.moved") == 0, "the player gave the picture"
    decoded = page.evaluate(PIXELS)
    off = sum(abs(one - other) for one, other in zip(played, decoded)) / len(played)
    assert len(played) == len(decoded) and off < 1, f"pictures differ by {off:.2f} of 255"
    told(video["file_name"], "decoded pictures have the player's colours, and are turned as it turns them")


# A sample of the picture's values.
PIXELS = """() => {
  const { canvas } = document.querySelector('.stage .picture').getContext('2d');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return [...data].filter((_, at) => at % 4 !== 3 && Math.floor(at / 4) % 7 === 0);
}"""


def check_part(page, video):
    """A part of a file: its numbers and times are the file's, and nothing else of the file is shown."""
    first, last = ends(video)
    assert first > 0 and video["is_part"], video
    browser.go(page, video)
    assert page.text_content("#source").startswith(f"frames {first}–{last} of the file")
    assert page.locator("#videos .tag", has_text=f"part: frames {first}–{last}").count() == 1
    assert page.get_attribute("#timeline", "min") == str(first)
    for wanted, shown in [(first - 20, first), (last + 20, last), (first + 7, first + 7)]:
        page.keyboard.press("g")
        page.keyboard.type(str(wanted))
        page.keyboard.press("Enter")
        browser.wait_for_frame(page, shown)
        assert browser.last(page) == (shown, shown), browser.last(page)
    page.wait_for_function("(hash) => location.hash.includes(hash)", arg=f"frame={first + 7}")
    page.reload()
    browser.wait_for_frame(page, first + 7)
    check_all_drawn(page)
    told(video["file_name"], f"frames {first} to {last} of the file, and no others")


def check_all_drawn(page):
    """Whatever was ever drawn was drawn over its own picture."""
    drawn = page.evaluate("seen.drawn")
    wrong = [d for d in drawn if d["number"] != d["bars"]]
    assert not wrong, f"{len(wrong)} of {len(drawn)} pictures have another's number: {wrong[:5]}"
    return len({d["number"] for d in drawn})


def check_play(page, video):
    """Played through at speed 1; all that is painted is looked at."""
    first, last = ends(video)
    browser.go(page, video, frame=first + 1)
    page.keyboard.press("Home")
    browser.wait_for_frame(page, first)
    page.evaluate("seen.drawn.length = 0")
    page.keyboard.press(" ")
    browser.wait_for_frame(page, last)
    page.wait_for_selector("#play[aria-label=play]")
    seen = check_all_drawn(page)
    least = min(video["frame_count"], 30 * video["duration_secs"]) / 3
    assert seen > least, f"only {seen} frames were shown"
    told(video["file_name"], f"played at speed 1, {seen} frames shown, pictures and numbers equal")


def check_part_beside(page, part, other):
    """A part beside a whole video: both begin with their first frames."""
    first = part["first_frame"]
    browser.go_quietly(page, part, frame=first, other=other["video_id"])
    page.wait_for_selector("#compare[aria-pressed=true]")
    page.evaluate(PAIR_EYES)
    secs, other_secs = real_secs(page, part), real_secs(page, other)
    for frame in (first, first + 1, first + 5):
        page.keyboard.press("g")
        page.keyboard.type(str(frame))
        page.keyboard.press("Enter")
        moment = secs[frame - first] - secs[0] + other_secs[0]
        partner = max(i for i, time in enumerate(other_secs) if time <= moment + 1e-9)
        page.wait_for_function("(text) => window.pairSeen() === text", arg=str(partner), timeout=10_000)
    page.keyboard.press("b")
    told(part["file_name"], "beside a whole video both begin with their first frames")


def real_secs(page, video):
    """Real times of the frames that have rows."""
    return page.evaluate(
        "(id) => fetch(`/api/videos/${id}/times`).then((a) => a.arrayBuffer()).then((b) => [...new Float64Array(b)].filter((_, i) => i % 2 === 1))",
        video["video_id"],
    )


def check_proxy(page, video):
    """What browsers do not play is shown frame by frame at once, and as a copy soon."""
    assert video["file"]["state"] == "proxy", video["file"]
    frame = video["first_frame"] + 7
    browser.go(page, video, frame=frame)
    assert browser.last(page) == (frame, frame), browser.last(page)
    page.wait_for_function(
        "() => document.getElementById('source').textContent.includes('a copy')", timeout=60_000
    )
    check_steps(page, video)
    check_play(page, video)


def check_slowest_speed(page, video):
    """0.05 is slower than browsers play."""
    browser.go(page, video, frame=10, speed=0.05)
    page.evaluate("seen.drawn.length = 0")
    page.keyboard.press(" ")
    browser.wait_for_frame(page, 13)
    page.keyboard.press(" ")
    page.wait_for_selector("#play[aria-label=play]")
    drawn = page.evaluate("seen.drawn")
    check_all_drawn(page)
    took = next(d["at"] for d in drawn if d["number"] == 13) - next(d["at"] for d in drawn if d["number"] == 11)
    assert took > 400, f"two frames took {took} ms at speed 0.05"
    told(video["file_name"], "played at speed 0.05, pictures and numbers equal")


def check_untold(page, videos):
    """A browser whose player tells its clock in place of the picture's time: each frame is decoded by itself."""
    page.add_init_script(UNTOLD)
    page.reload()
    for name, source in [(VARIABLE, ""), (FRAGMENTED, "pictures from the server, one by one")]:
        check_steps_as(page, videos[name], source)
    check_play(page, videos[VARIABLE])


def check_steps_as(page, video, source):
    middle = video["first_frame"] + video["frame_count"] // 2
    browser.go(page, video, frame=middle)
    page.wait_for_function("(text) => document.getElementById('source').textContent === text", arg=source)
    # The video before may have been decoded until now. The first frame is too far to be at hand.
    page.evaluate("seen.decoded = 0")
    for key, frame in [("ArrowRight", middle + 1), ("ArrowLeft", middle), ("Home", 0), ("ArrowRight", 1)]:
        page.keyboard.press(key)
        browser.wait_for_frame(page, frame)
    check_all_drawn(page)
    decoded = page.evaluate("seen.decoded")
    assert (decoded > 0) == (source == ""), f"{video['file_name']}: {decoded} samples were decoded by the page"
    assert page.locator(".stage .note").first.is_visible() == (source != "")


UNTOLD = """
{
  const { VideoFrame } = window;
  const construct = (target, [source, init]) => (
    source instanceof HTMLVideoElement ? new target(source, { timestamp: Math.round(source.currentTime * 1e6) }) : new target(source, init));
  window.VideoFrame = new Proxy(VideoFrame, { construct });
}
"""


def check_names_are_text(page, videos):
    page.wait_for_selector("#videos .name")
    shown = page.locator("#videos .name").all_text_contents()
    assert HOSTILE in shown, shown
    browser.go(page, videos[HOSTILE])
    assert page.title() == f"{HOSTILE} – posedata", page.title()
    assert page.locator("#title").text_content() == HOSTILE
    assert page.locator("#app img[src=x]").count() == 0
    told("names", "a file name that is markup stays text")


def check_keys(page, video):
    """The keys of the player, and the help that shows them."""
    browser.go(page, video, frame=5)
    for key, frame in [("Shift+ArrowRight", 15), (">", 25), ("<", 15), (".", 16), (",", 15), ("End", video["frame_count"] - 1), ("Home", 0)]:
        page.keyboard.press(key)
        browser.wait_for_frame(page, frame)
    page.keyboard.press("g")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    browser.wait_for_frame(page, 12)
    secs = page.evaluate(
        "(id) => fetch(`/api/videos/${id}/times`).then((a) => a.arrayBuffer()).then((b) => new Float64Array(b)[2 * 20 + 1])",
        video["video_id"],
    )
    page.keyboard.press("g")
    page.keyboard.type(f"{secs:.4f}s")
    page.keyboard.press("Enter")
    browser.wait_for_frame(page, 20)
    for name in ("names", "angles", "trace", "skeleton"):
        box = page.locator(f"[data-show={name}]")
        before = box.is_checked()
        page.keyboard.press(name[0])
        assert box.is_checked() != before, name
    page.keyboard.press("s")
    # As other keyboards give them; the browser's own keys stay its own.
    for init, speed in [({"key": "[", "code": "Digit8", "altKey": True, "ctrlKey": True}, "0.75"), ({"key": "]", "code": "Digit6", "altKey": True}, "1"),
                        ({"key": "[", "code": "BracketLeft", "ctrlKey": True}, "1")]:
        page.evaluate(PRESS, init)
        assert page.input_value("#speed") == speed, init
    before = page.locator("[data-show=angles]").is_checked()
    for pressed in (1, 2):
        page.evaluate(PRESS, {"key": "ф", "code": "KeyA"})
        assert page.locator("[data-show=angles]").is_checked() == (before ^ (pressed == 1))
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    keys = page.locator("#help kbd").all_text_contents()
    assert len(keys) > 30 and "Space" in keys and "←" in keys, keys
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    # Everything can be reached with the tab key, and shows that it was.
    reached = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    for wanted in ("search", "play", "timeline", "speed", "rows", "tab-curves", "choose-curves", "chart", "compare"):
        assert wanted in reached, f"the tab key does not reach {wanted}: {sorted(reached)}"
    loop(page, video)
    check_rows(page, video)
    told("keys", "player, help and tab order")


PRESS = "(init) => { document.body.dispatchEvent(new KeyboardEvent('keydown', { ...init, bubbles: true, cancelable: true })); }"


def loop(page, video):
    """Between two marks the frames come round again."""
    page.evaluate("document.activeElement.blur()")
    browser.go(page, video, frame=12)
    page.keyboard.press("i")
    page.keyboard.press("Shift+ArrowRight")
    browser.wait_for_frame(page, 22)
    page.keyboard.press("o")
    page.keyboard.press("l")
    page.evaluate("seen.drawn.length = 0")
    page.keyboard.press(" ")
    page.wait_for_function("() => seen.drawn.length > 60", timeout=20_000)
    page.keyboard.press(" ")
    page.wait_for_selector("#play[aria-label=play]")
    numbers = [d["number"] for d in page.evaluate("seen.drawn")]
    rounds = sum(b < a for a, b in zip(numbers, numbers[1:]))
    assert rounds >= 2, numbers
    assert max(numbers) <= 22 and min(numbers) >= 12, numbers
    page.keyboard.press("l")
    page.keyboard.press("u")


def check_rows(page, video):
    """Raw and filtered rows both give a skeleton."""
    browser.go(page, video, frame=17)
    for rows in ("filtered", "raw"):
        page.evaluate("seen.discs = 0")
        page.keyboard.press("r")
        assert page.input_value("#rows") == rows
        page.wait_for_function("() => seen.discs >= 20")
    page.evaluate("seen.discs = 0")
    page.keyboard.press("s")
    page.keyboard.press("ArrowRight")
    browser.wait_for_frame(page, 18)
    assert page.evaluate("seen.discs") == 0, "a skeleton that nobody asked for"
    page.keyboard.press("s")


def check_curves(page, video):
    """Curves come, show the value at the cursor, seek and zoom."""
    columns = ["left_knee_deg", "right_knee_deg"]
    curves = ",".join(f"metrics.{column}" for column in columns)
    browser.go(page, video, frame=30, curves=curves)
    page.wait_for_selector("#chart canvas")
    frame = 33
    page.keyboard.press("g")
    page.keyboard.type(str(frame))
    page.keyboard.press("Enter")
    browser.wait_for_frame(page, frame)
    values = page.evaluate(
        """([id, sql]) => fetch('/api/query', { method: 'POST', headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ sql }) }).then((answer) => answer.json()).then(({ rows }) => rows[0])""",
        [video["video_id"], f"SELECT {', '.join(columns)} FROM metrics WHERE video_id = '{video['video_id']}' "
         f"AND frame = {frame} AND person = {video['main_person']}"],
    )
    for value, shown in zip(values, page.locator("#legend .value").all()):
        text = "–" if value is None else f"{value:.1f}°"
        page.wait_for_function("([e, text]) => e.textContent === text", arg=[shown.element_handle(), text])
    box = page.locator("#chart .u-over").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("() => seen.last.number > 40")
    middle = browser.last(page)[0]
    assert abs(middle - (video["frame_count"] - 1) / 2) <= 2, middle
    page.keyboard.press("+")
    page.wait_for_function("() => location.hash.includes('zoom=')")
    low, high = map(float, re.search(r"zoom=([\d.]+),([\d.]+)", urllib.parse.unquote(page.url)).groups())
    assert 0 < low < high < video["duration_secs"], page.url
    page.keyboard.press("0")
    page.wait_for_function("() => !location.hash.includes('zoom=')")
    # A gesture that the browser takes for its own ends there.
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20)
    page.mouse.down()
    page.evaluate("document.querySelector('#chart .u-over').dispatchEvent(new PointerEvent('lostpointercapture'))")
    quarter = middle // 2
    page.wait_for_function("(most) => seen.last.number <= most", arg=quarter + 3)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert browser.last(page)[0] <= quarter + 3, "it seeks on after the gesture was over"
    told("curves", "values at the cursor are the lake's; a click seeks; zoom")


def check_compare(page, video, other):
    """The second video shows the frame of the same moment, moved by the offset."""
    browser.go(page, video, frame=20, other=other["video_id"], offset=5)
    times = [real_secs(page, one) for one in (video, other)]

    def partner(frame, offset):
        moment = times[0][frame] + times[1][offset] - times[0][0]
        return max(i for i, secs in enumerate(times[1]) if secs <= moment + 1e-9)

    def wait_for_partner(frame):
        page.wait_for_function("(text) => window.pairSeen?.() === text", arg=str(frame), timeout=10_000)

    page.evaluate(PAIR_EYES)
    wait_for_partner(partner(20, 5))
    page.keyboard.press("k")
    wait_for_partner(partner(20, 6))
    page.keyboard.press("ArrowRight")
    wait_for_partner(partner(21, 6))
    page.keyboard.press(" ")
    page.wait_for_timeout(700)
    page.keyboard.press(" ")
    page.wait_for_selector("#play[aria-label=play]")
    frame = int(page.input_value("#goto"))
    assert frame > 25, frame
    wait_for_partner(partner(frame, 6))
    check_all_drawn(page)
    page.keyboard.press("b")
    assert page.locator(".stage:visible").count() == 1
    told("compare", "two videos keep to their offset, step and play together")


# The number of the second stage, out of the bars of its picture.
PAIR_EYES = """
window.pairSeen = () => {
  const canvas = document.querySelectorAll('.stage .picture')[1];
  const row = canvas.getContext('2d').getImageData(0, canvas.height >> 1, canvas.width, 1).data;
  let number = 0;
  for (let bit = 0; bit < 10; bit += 1) {
    if (row[4 * Math.floor(((bit + 0.5) * canvas.width) / 10)] > 128) number += 2 ** bit;
  }
  return String(number);
};
"""


def check_sql(page, video):
    """A row leads to its frame; wrong SQL says why; results are tables, curves, files."""
    browser.go(page, video, frame=3)
    page.keyboard.press("q")
    sql = f"SELECT video_id, person, frame, left_knee_deg FROM metrics WHERE video_id = '{video['video_id']}' AND frame >= 17 ORDER BY frame"
    page.fill("#sql-text", sql)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#sql-result tbody tr")
    page.locator("#sql-result tbody tr").nth(2).locator("button").click()
    browser.wait_for_frame(page, 19)
    page.click("#sql-as-curve")
    page.wait_for_selector("#sql-result canvas")
    with page.expect_download() as download:
        page.click("#sql-csv")
    with open(download.value.path(), newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["video_id", "person", "frame", "left_knee_deg"], rows[0]
    assert rows[1][2] == "17", rows[1]
    page.click("#sql-as-table")
    cycle = f"SELECT '{video['video_id']}' AS video_id, 0 AS person, 21 AS start_frame, 30 AS end_frame"
    page.fill("#sql-text", cycle)
    page.click("#sql-run")
    page.wait_for_function("() => document.querySelectorAll('#sql-result tbody tr').length === 1")
    page.locator("#sql-result tbody tr button").click()
    browser.wait_for_frame(page, 21)
    assert "frame 30" in page.get_attribute("#mark-out", "title")
    last = video["frame_count"] - 1
    page.fill("#sql-text", f"SELECT '{video['video_id']}' AS video_id, {last + 8} AS frame, sum(frame) AS total FROM metrics")
    page.click("#sql-run")
    page.wait_for_function("() => document.querySelector('#sql-result th:last-child').textContent === 'total'")
    assert page.locator("#sql-result td:last-child").get_attribute("class") == "number", "a sum is a number"
    page.locator("#sql-result tbody tr button").click()
    page.wait_for_function("(text) => document.getElementById('status').textContent.includes(text)", arg=f"no frame {last + 8}")
    page.fill("#sql-text", "SELECT * FROM read_csv('/etc/passwd')")
    page.click("#sql-run")
    page.wait_for_selector("#sql-note.error")
    page.select_option("#sql-shipped", "symmetry")
    page.wait_for_function("() => !document.getElementById('sql-note').classList.contains('error') && document.querySelector('#sql-result td') !== null")
    told("SQL", "a row leads to its frame; table, curve and CSV; files stay closed")


def check_take_away(page, video):
    browser.go(page, video, frame=21)
    with page.expect_download() as download:
        page.keyboard.press("w")
    assert download.value.suggested_filename == "person_frame21.png", download.value.suggested_filename
    with open(download.value.path(), "rb") as file:
        head = file.read(24)
    check_saved_frame(page)
    size = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    assert head[1:4] == b"PNG" and size == (video["width_px"], video["height_px"]), (head, size)
    page.keyboard.press("i")
    page.keyboard.press("Shift+ArrowRight")
    browser.wait_for_frame(page, 31)
    page.keyboard.press("o")
    page.keyboard.press("4")
    with page.expect_download(timeout=60_000) as download:
        page.click("#take-clip")
    with open(download.value.path(), "rb") as file:
        assert file.read(8)[4:] == b"ftyp"
    with page.expect_download() as download:
        page.click("#take-csv")
    with open(download.value.path(), newline="") as file:
        frames = [int(row["frame"]) for row in csv.DictReader(file)]
    assert frames == list(range(21, 32)), frames
    page.keyboard.press("u")
    told("take away", "frame, stretch and table")


def check_saved_frame(page):
    """Who steps on while a frame is saved still saves that frame, picture and skeleton."""
    page.evaluate(LOOSE_EYES)
    with page.expect_download():
        page.keyboard.press("w")
        page.keyboard.press("ArrowRight")
        browser.wait_for_frame(page, 22)
    assert page.evaluate("loose.numbers") == ["21"], page.evaluate("loose.numbers")
    page.keyboard.press("ArrowLeft")
    browser.wait_for_frame(page, 21)


# The numbers that are drawn on canvases that are not on the page. Exact pictures come late.
LOOSE_EYES = """
window.loose = { numbers: [] };
{
  const { fetch } = window;
  window.fetch = async (address, ...rest) => {
    if (/frames\\/\\d+\\.png/.test(address)) await new Promise((done) => setTimeout(done, 400));
    return fetch(address, ...rest);
  };
  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
    const number = /^frame (\\d+) /.exec(text);
    if (number !== null && this.canvas.parentElement === null) loose.numbers.push(number[1]);
    fillText.call(this, text, ...place);
  };
}
null;
"""


def check_address(page, video):
    """The address leads back to all that was seen."""
    state = {"frame": "14", "show": "skeleton,angles,number", "curves": "metrics.left_hip_deg",
             "in": "10", "out": "20", "speed": "0.5", "tab": "take"}
    browser.go(page, video, **state)
    page.reload()
    browser.wait_for_frame(page, 14)
    assert page.locator("[data-show=angles]").is_checked()
    assert page.input_value("#speed") == "0.5"
    assert page.locator("#pane-take").is_visible()
    page.keyboard.press("ArrowRight")
    browser.wait_for_frame(page, 15)
    page.wait_for_function("() => location.hash.includes('frame=15')")
    after = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.url).fragment))
    for name in ("show", "curves", "in", "out", "speed", "tab"):
        assert set(after[name].split(",")) == set(state[name].split(",")), (name, after)
    # An address that comes before the last step was written to it counts all the same.
    page.keyboard.press("ArrowRight")
    browser.wait_for_frame(page, 16)
    page.evaluate(ADDRESS_AFTER_STANDSTILL, "frame=9")
    browser.wait_for_frame(page, 9)
    told("address", "leads back to what was seen")
    check_nonsense(page, video)


# The page stands still until the time at which it writes its address is over, and a new one comes.
ADDRESS_AFTER_STANDSTILL = """
(frame) => {
  const end = performance.now() + 400;
  while (performance.now() < end);
  location.hash = location.hash.replace(/frame=[0-9]+/, frame);
}
"""


def check_nonsense(page, video):
    """What an address says and cannot be is as if it were not there."""
    nonsense = {"frame": "15", "person": "77", "speed": "-3", "show": "skeleton,<b>,number,trace", "trace": "tail",
                "in": "20", "out": "10", "other": "f" * 32, "curves": "metrics.nothing,x", "zoom": "9,1", "tab": "<i>"}
    browser.go(page, video, **nonsense)
    page.reload()
    browser.wait_for_frame(page, 15)
    page.wait_for_function("() => document.getElementById('status').textContent.includes('second video')")
    assert page.input_value("#speed") == "1"
    assert page.input_value("#person") == str(video["main_person"])
    assert page.input_value("#trace") == "left_wrist"
    page.wait_for_function("() => seen.discs >= 20")
    page.keyboard.press("l")
    page.evaluate("seen.drawn.length = 0")
    page.keyboard.press(" ")
    page.wait_for_function("() => seen.drawn.length > 8")
    page.keyboard.press(" ")
    page.keyboard.press("l")
    page.wait_for_function("(person) => location.hash.includes(`person=${person}`)", arg=video["main_person"])
    assert not any(word in page.url for word in ("tail", "speed", "in=", "%3C")), page.url
    told("address", "nonsense in it is left out")


def check_search(page, videos):
    page.keyboard.press("/")
    page.keyboard.type("person")
    page.wait_for_function("() => document.querySelectorAll('#videos li').length === 1")
    assert page.locator("#videos .name").text_content() == PERSON
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.wait_for_function("(n) => document.querySelectorAll('#videos li').length === n", arg=len(videos))
    shares = page.evaluate("import('/assets/text.js').then(({ percent }) => [0, 0.001, 0.5, 0.999, 1].map(percent))")
    assert shares == ["0 %", "< 1 %", "50 %", "> 99 %", "100 %"], shares
    told("list", "search finds by name")


# Contrast as WCAG 2 defines it, of each text that is shown, on the nearest ground that is not clear.
CONTRAST = """() => {
  const parse = (text) => {
    const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = text;
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data;
    return { rgb: [r, g, b], alpha: a / 255 };
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => { const s = c / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const groundOf = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const { rgb, alpha } = parse(getComputedStyle(one).backgroundColor);
      if (alpha > 0.5) return rgb;
    }
    return [255, 255, 255];
  };
  const bad = [];
  let count = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() === '' || !element.checkVisibility({ visibilityProperty: true })) continue;
    const [text, ground] = [light(parse(getComputedStyle(element).color).rgb), light(groundOf(element))];
    const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    count += 1;
    if (contrast < 4.5) bad.push(`${walker.currentNode.data.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return { bad, count };
}"""


def check_contrast(page, scheme):
    """No text on the page or in its dialogs is below 4.5."""
    page.emulate_media(color_scheme=scheme)
    total = 0
    for key in ("1", "2", "3", "4", "?", "c"):
        page.keyboard.press(key)
        page.wait_for_timeout(150)
        found = page.evaluate(CONTRAST)
        assert not found["bad"], f"{scheme}, after {key}: {found['bad']}"
        total += found["count"]
        page.keyboard.press("Escape")
    told(scheme, f"{total} texts, none below contrast 4.5")


def check_no_problems(page):
    assert not page.problems, page.problems
    told("page", "no errors, nothing that the security policy refused")


if __name__ == "__main__":
    main()
