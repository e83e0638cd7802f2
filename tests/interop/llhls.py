"""
A strict player of Low-Latency HLS, written from RFC 8216 and draft-pantos-hls-rfc8216bis: it downloads everything and plays nothing.
What is not as it must be goes to `faults`, with the section that says so.
"""
import concurrent.futures
import datetime
import re
import struct
import time
import urllib.error
import urllib.parse
import urllib.request

ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s][^",]*)(?:,|$)')
DECIMAL, FLOAT, QUOTED = re.compile(r"\d{1,20}"), re.compile(r"\d+(\.\d+)?"), re.compile(r'".*"')
YES, RESOLUTION, ENUM = re.compile("YES"), re.compile(r"\d+x\d+"), re.compile("[A-Z-]+")
# tag: (what its attributes look like, which of them it must have)
ATTRIBUTES = {
    "EXT-X-SERVER-CONTROL": ({"CAN-SKIP-UNTIL": FLOAT, "CAN-SKIP-DATERANGES": YES, "HOLD-BACK": FLOAT, "PART-HOLD-BACK": FLOAT, "CAN-BLOCK-RELOAD": YES}, ()),
    "EXT-X-PART-INF": ({"PART-TARGET": FLOAT}, ("PART-TARGET",)),
    "EXT-X-SKIP": ({"SKIPPED-SEGMENTS": DECIMAL}, ("SKIPPED-SEGMENTS",)),
    "EXT-X-MAP": ({"URI": QUOTED}, ("URI",)),
    "EXT-X-PART": ({"URI": QUOTED, "DURATION": FLOAT, "INDEPENDENT": YES}, ("URI", "DURATION")),
    "EXT-X-PRELOAD-HINT": ({"TYPE": ENUM, "URI": QUOTED}, ("TYPE", "URI")),
    "EXT-X-RENDITION-REPORT": ({"URI": QUOTED, "LAST-MSN": DECIMAL, "LAST-PART": DECIMAL}, ("URI", "LAST-MSN")),
    "EXT-X-STREAM-INF": ({"BANDWIDTH": DECIMAL, "AVERAGE-BANDWIDTH": DECIMAL, "CODECS": QUOTED, "RESOLUTION": RESOLUTION, "FRAME-RATE": FLOAT}, ("BANDWIDTH",)),
}
NUMBERS = ("EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE")
ONCE = (*NUMBERS, "EXT-X-SERVER-CONTROL", "EXT-X-PART-INF", "EXT-X-SKIP")


class Fault(Exception):
    """What is wrong with one thing."""


def need(condition, section, what):
    if not condition:
        raise Fault(f"{section}: {what}")


def attributes(tag, value):
    known, wanted = ATTRIBUTES[tag]
    found, at = {}, 0
    while at < len(value):
        match = ATTRIBUTE.match(value, at)
        need(match and match[1] not in found, "4.2", f"{tag}:{value}")
        found[match[1]] = match[2]
        at = match.end()
    for name, text in found.items():
        need(name in known and known[name].fullmatch(text), f"4.4, {tag}", f"{name}={text}")
    need(all(name in found for name in wanted), f"4.4, {tag}", f"{value} has not {wanted}")
    return {name: text[1:-1] if text[0] == '"' else text for name, text in found.items()}


class Segment:
    def __init__(self):
        self.tags, self.parts, self.uri, self.seconds, self.map, self.date = {}, [], None, None, None, None


class Playlist:
    """A media playlist or a multivariant one, taken apart."""

    def __init__(self, text, url):
        self.text, self.url, self.lines = text, url, text.split("\n")
        self.tags, self.segments, self.hints, self.reports, self.variants = {}, [], [], [], []
        need(self.lines[0] == "#EXTM3U" and self.lines[-1] == "" and "\r" not in text, "4.1", text[:60])
        segment, variant = Segment(), None
        for line in self.lines[1:-1]:
            need(line and not line[0].isspace(), "4.1", f"a line {line!r}")
            if not line.startswith("#"):
                segment, variant = self.on_uri(line, segment, variant)
                continue
            tag, _, value = line[1:].partition(":")
            need(not self.hints or tag in ("EXT-X-PRELOAD-HINT", "EXT-X-RENDITION-REPORT"), "4.4.5", f"{tag} comes after the hint")
            if tag == "EXT-X-STREAM-INF":
                variant = attributes(tag, value)
            else:
                self.on_tag(tag, value, segment)
        if segment.parts or segment.tags:
            need(segment.parts and segment.seconds is None, "4.4.4", "tags of a segment that does not come")
            self.segments.append(segment)  # the open one
        self.number()

    def on_uri(self, line, segment, variant):
        if variant is not None:
            self.variants.append({**variant, "url": urllib.parse.urljoin(self.url, line)})
            return segment, None
        need(segment.seconds is not None, "4.4.4.1", f"{line} has no EXTINF")
        segment.uri = urllib.parse.urljoin(self.url, line)
        self.segments.append(segment)
        return Segment(), None

    def on_tag(self, tag, value, segment):
        if tag in ONCE:
            need(tag not in self.tags, "4.4", f"{tag} twice")
            need(not self.segments and not segment.tags and not segment.parts, "4.4.3", f"{tag} after a segment")
            self.tags[tag] = int(value) if tag in NUMBERS and DECIMAL.fullmatch(value) else attributes(tag, value)
        elif tag == "EXTINF":
            need(re.fullmatch(r"\d+(\.\d+)?,", value) and segment.seconds is None, "4.4.4.1", value)
            segment.seconds = float(value[:-1])
        elif tag == "EXT-X-PART":
            segment.parts.append({**attributes(tag, value), "url": urllib.parse.urljoin(self.url, attributes(tag, value)["URI"])})
        elif tag == "EXT-X-PRELOAD-HINT":
            self.hints.append(attributes(tag, value))
        elif tag == "EXT-X-RENDITION-REPORT":
            self.reports.append(attributes(tag, value))
        else:
            need(tag in ("EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME", "EXT-X-DISCONTINUITY"), "4.4", f"{tag} is not for a live playlist")
            need(tag not in segment.tags and not segment.parts, "4.4.4", f"{tag} within a segment")
            segment.tags[tag] = value

    def number(self):
        """What goes on from segment to segment."""
        sequence = self.tags.get("EXT-X-MEDIA-SEQUENCE", 0) + int(self.tags.get("EXT-X-SKIP", {}).get("SKIPPED-SEGMENTS", 0))
        discontinuity, current = self.tags.get("EXT-X-DISCONTINUITY-SEQUENCE", 0), None
        for i, segment in enumerate(self.segments):
            discontinuity += "EXT-X-DISCONTINUITY" in segment.tags
            if "EXT-X-MAP" in segment.tags:
                current = urllib.parse.urljoin(self.url, attributes("EXT-X-MAP", segment.tags["EXT-X-MAP"])["URI"])
            if "EXT-X-PROGRAM-DATE-TIME" in segment.tags:
                text = segment.tags["EXT-X-PROGRAM-DATE-TIME"]
                segment.date = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
            segment.number, segment.discontinuity, segment.map = sequence + i, discontinuity, current

    @property
    def whole(self):
        return [segment for segment in self.segments if segment.uri]

    @property
    def end(self):
        """(number, index) of the last part, or (number, -1) of the segment that comes next."""
        last = self.segments[-1]
        return (last.number + 1, -1) if last.uri else (last.number, len(last.parts) - 1)

    @property
    def next(self):
        number, part = self.end
        return number, part + 1

    def has(self, number, part):
        return (number, part) <= self.end or number < self.end[0]


def seconds_of(part):
    return float(part["DURATION"])


def check_alone(p):
    """What must hold in each playlist by itself."""
    target, control = p.tags["EXT-X-TARGETDURATION"], p.tags["EXT-X-SERVER-CONTROL"]
    part_target = float(p.tags["EXT-X-PART-INF"]["PART-TARGET"])
    need(p.tags["EXT-X-VERSION"] == (9 if "EXT-X-SKIP" in p.tags else 6), "8", f"version {p.tags['EXT-X-VERSION']}")
    need(control.get("CAN-BLOCK-RELOAD") == "YES", "4.4.3.8", "no CAN-BLOCK-RELOAD")
    need(float(control["CAN-SKIP-UNTIL"]) >= 6 * target, "4.4.3.8", control)
    need(float(control["PART-HOLD-BACK"]) >= 3 * part_target - 1e-9, "4.4.3.8", control)
    need(len([h for h in p.hints if h["TYPE"] == "PART"]) == len(p.hints) == 1, "6.2.6", p.hints)
    need("EXT-X-SKIP" in p.tags or p.segments[0].map, "4.4.4.5", "the first segment has no EXT-X-MAP")
    left = 0
    for segment in reversed(p.segments):
        total = sum(map(seconds_of, segment.parts))
        if segment.uri:
            need(int(segment.seconds + 0.5) <= target, "4.4.3.1", f"EXTINF:{segment.seconds}")
            need(not segment.parts or abs(total - segment.seconds) < 1e-4, "4.4.4.9", f"parts of {total}, EXTINF:{segment.seconds}")
            need(segment.parts or left > 0 or segment.seconds > part_target, "6.2.2", "the last segment has no parts")
        for i, part in enumerate(segment.parts):
            last = segment.uri and i == len(segment.parts) - 1
            need(seconds_of(part) <= part_target, "4.4.4.9", f"part of {part['DURATION']}")
            need(seconds_of(part) >= 0.85 * part_target or last or "INDEPENDENT" in part or part is p.segments[-1].parts[-1], "4.4.4.9", f"part of {part['DURATION']}")
        need(not segment.parts or left <= 3 * target, "6.2.2", f"parts {left} s from the end")
        left += segment.seconds or total
    for a, b in zip(p.segments, p.segments[1:]):
        need(a.date and b.date, "6.2.4", "no EXT-X-PROGRAM-DATE-TIME")
        drift = b.date - a.date - a.seconds
        # another run may overlap a little (6.2.1)
        need(abs(drift) < 0.002 if b.discontinuity == a.discontinuity else drift > -1, "4.4.4.6", f"the date of {b.number} is {drift} s off")


def check_update(old, new):
    """What a newer playlist may change (6.2.1, 6.2.2)."""
    for tag in ("EXT-X-TARGETDURATION", "EXT-X-SERVER-CONTROL", "EXT-X-PART-INF"):
        need(old.tags[tag] == new.tags[tag], "6.2.1", f"{tag} changed")
    for tag in ("EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE"):
        need(new.tags[tag] >= old.tags[tag], "6.2.2", f"{tag} went back")
    need(new.end >= old.end, "6.2.1", f"{old.end} became {new.end}")
    after = {segment.number: segment for segment in new.segments}
    for segment in old.segments:
        now = after.get(segment.number)
        if now is None:
            need(segment.number < new.segments[0].number, "6.2.2", f"{segment.number} vanished from the middle")
            continue
        need(now.discontinuity == segment.discontinuity, "6.2.2", f"discontinuity of {segment.number}: {segment.discontinuity} became {now.discontinuity}")
        need(now.date == segment.date and now.map == segment.map, "6.2.1", f"{segment.number} changed")
        need(not segment.uri or (segment.uri, segment.seconds) == (now.uri, now.seconds), "6.2.1", f"{segment.number} changed")
        need(now.parts[:len(segment.parts)] == segment.parts or (now.uri and not now.parts), "6.2.1", f"parts of {segment.number} changed")
    if new.segments[0].number > old.segments[0].number:
        seconds = sum(segment.seconds for segment in new.whole)
        need(seconds >= 3 * new.tags["EXT-X-TARGETDURATION"], "6.2.2", f"{seconds} s are left")


# --- fragmented MP4 ---

def boxes(data, at=0, end=None):
    end = len(data) if end is None else end
    while at < end:
        need(at + 8 <= end, "ISO/IEC 14496-12", "a box is cut")
        size, kind = struct.unpack_from(">I4s", data, at)
        need(8 <= size <= end - at, "ISO/IEC 14496-12", f"a box {kind} of {size} bytes")
        yield kind.decode(), at + 8, at + size
        at += size


def inside(data, path, at=0, end=None):
    for kind, start, stop in boxes(data, at, end):
        if kind == path[0]:
            if len(path) == 1:
                yield start, stop
            else:
                yield from inside(data, path[1:], start, stop)


class Init:
    """`ftyp` and `moov`."""

    def __init__(self, data):
        need([kind for kind, _, _ in boxes(data)] == ["ftyp", "moov"], "3.1.2", "not ftyp and moov")
        self.tracks, self.size = {}, None
        for start, stop in inside(data, ["moov", "trak"]):
            at, _ = next(inside(data, ["tkhd"], start, stop))
            track = struct.unpack_from(">I", data, at + 12)[0]
            width, height = struct.unpack_from(">II", data, at + 76)
            at, _ = next(inside(data, ["mdia", "mdhd"], start, stop))
            scale = struct.unpack_from(">I", data, at + 12)[0]
            at, _ = next(inside(data, ["mdia", "minf", "stbl", "stsd"], start, stop))
            entry = data[at + 12:at + 16].decode()
            self.tracks[track] = (scale, entry)
            if width:
                self.video, self.size = track, f"{width >> 16}x{height >> 16}"
        need(self.tracks, "3.1.2", "no tracks")


class Run:
    """One track's samples in a fragment."""

    def __init__(self, data, start, stop):
        at, _ = next(inside(data, ["tfhd"], start, stop))
        flags, self.track = struct.unpack_from(">II", data, at)
        need(flags & 0x20000, "CMAF", "no default-base-is-moof")
        at += 8
        defaults = {}
        for bit in (0x1, 0x2, 0x8, 0x10, 0x20):
            if flags & bit:
                defaults[bit] = struct.unpack_from(">I", data, at)[0]
                at += 8 if bit == 1 else 4
        at, _ = next(inside(data, ["tfdt"], start, stop))
        need(data[at] == 1, "CMAF", "tfdt of 32 bits")
        self.time = struct.unpack_from(">Q", data, at + 4)[0]
        at, end = next(inside(data, ["trun"], start, stop))
        flags, self.count, self.offset = struct.unpack_from(">IIi", data, at)
        at += 12
        first = struct.unpack_from(">I", data, at)[0] if flags & 4 else None
        at += 4 if flags & 4 else 0
        self.duration = self.bytes = 0
        for i in range(self.count):
            values = {0x100: defaults.get(8), 0x200: defaults.get(0x10), 0x400: defaults.get(0x20)}
            for bit in (0x100, 0x200, 0x400, 0x800):
                if flags & bit:
                    values[bit] = struct.unpack_from(">I", data, at)[0]
                    at += 4
            self.duration += values[0x100]
            self.bytes += values[0x200]
            if i == 0:
                self.is_sync = not (first if first is not None else values[0x400]) & 0x10000
        need(at == end, "ISO/IEC 14496-12", "trun of another length")


class Media:
    """Fragments: (moof, mdat) again and again."""

    def __init__(self, data):
        self.runs, moof = [], None
        for kind, start, stop in boxes(data):
            need(kind == ("mdat" if moof is not None else "moof"), "3.1.2", f"{kind} is in the wrong place")
            if kind == "moof":
                runs, moof = [Run(data, *traf) for traf in inside(data, ["traf"], start, stop)], start - 8
                continue
            need(sum(run.bytes for run in runs) == stop - start, "ISO/IEC 14496-12", "mdat has another size than its samples")
            need(min(run.offset for run in runs) == start - moof, "ISO/IEC 14496-12", "samples are not in mdat")
            self.runs.append(runs)
            moof = None
        need(self.runs and moof is None, "3.1.2", "no fragment")


# --- the player ---

class Player:
    """Follows one media playlist, with everything that low latency allows. `get` is for tests that log in."""

    def __init__(self, url, seconds, faults, name):
        self.url, self.seconds, self.faults, self.name = url, seconds, faults, name
        self.pool = concurrent.futures.ThreadPoolExecutor(8)
        self.counts = dict.fromkeys(("playlists", "blocked", "late", "parts", "hints", "segments", "deltas", "skipped", "reports", "discontinuities", "maps", "removed", "audio"), 0)
        self.inits, self.data, self.segment_data, self.ends, self.seen = {}, {}, {}, {}, {}

    def fault(self, what):
        text = f"{self.name}: {what}"
        if text not in self.faults:
            self.faults.append(text)

    def get(self, url, **directives):
        query = "&".join(f"_HLS_{key}={value}" for key, value in directives.items())
        began = time.monotonic()
        with urllib.request.urlopen(url + ("?" + query if query else ""), timeout=20) as answer:
            data = answer.read()
            return data, answer.headers, time.monotonic() - began

    def playlist(self, url=None, **directives):
        data, headers, waited = self.get(url or self.url, **directives)
        need(headers["Content-Type"] == "application/vnd.apple.mpegurl", "4", headers["Content-Type"])
        need(headers["Cache-Control"] == "no-store", "caching", headers["Cache-Control"])
        return Playlist(data.decode(), url or self.url), waited

    def media(self, url):
        data, headers, _ = self.get(url)
        need(headers["Content-Type"] == "video/mp4", "3.1", headers["Content-Type"])
        need("immutable" in headers["Cache-Control"], "caching", headers["Cache-Control"])
        return data

    def status(self, url, **directives):
        try:
            self.get(url, **directives)
            return 200
        except urllib.error.HTTPError as error:
            return error.code

    def try_(self, function, *arguments):
        try:
            return function(*arguments)
        except (Fault, OSError, KeyError, StopIteration, struct.error) as error:
            self.fault(f"{function.__name__}: {error!r}" if not isinstance(error, Fault) else str(error))
            return None

    # --- parts and segments ---

    def take_part(self, segment, i, data):
        """A part is a valid fragment, of the length and kind that the playlist says, and goes on where the one before ended."""
        part, media = segment.parts[i], Media(data)
        init = self.inits[segment.map]
        self.counts["parts"] += 1
        for runs in media.runs:
            for run in runs:
                scale, _ = init.tracks[run.track]
                key = (segment.discontinuity, run.track)
                gap = (run.time - self.ends.get(key, run.time)) / scale
                need(abs(gap) < 0.005, "6.2.1", f"decode time of track {run.track} in {part['URI']} leaps by {gap} s")
                self.ends[key] = run.time + run.duration
                self.counts["audio"] += run.track != init.video
        first = [run for run in media.runs[0] if run.track == init.video]
        need(bool(first and first[0].is_sync) == ("INDEPENDENT" in part), "4.4.4.9", f"INDEPENDENT of {part['URI']}")
        seconds = sum(run.duration for runs in media.runs for run in runs if run.track == init.video) / init.tracks[init.video][0]
        need(abs(seconds - seconds_of(part)) < 0.001, "4.4.4.9", f"{part['URI']} lasts {seconds}, not {part['DURATION']}")
        # the same instant has the same decode time in all variants: their origin is one
        at = segment.date + sum(map(seconds_of, segment.parts[:i]))
        self.origin = at - first[0].time / init.tracks[init.video][0]

    def take_init(self, url):
        if url not in self.inits:
            self.inits[url] = Init(self.media(url))
            self.counts["maps"] += 1

    def take_new(self, playlist):
        """Downloads all that was not seen before."""
        for segment in playlist.segments:
            self.try_(self.take_init, segment.map)
            for i, part in enumerate(segment.parts):
                if part["url"] not in self.data:
                    self.data[part["url"]] = self.media(part["url"])
                if (segment.number, i) not in self.seen:
                    self.seen[segment.number, i] = part["url"]
                    self.try_(self.take_part, segment, i, self.data[part["url"]])
            if segment.uri and segment.number not in self.segment_data:
                self.segment_data[segment.number] = len(self.media(segment.uri))
                self.counts["segments"] += 1
                self.try_(self.take_segment, segment)

    def take_segment(self, segment):
        data = self.media(segment.uri)
        Media(data)
        need(not segment.parts or data == b"".join(self.data[part["url"]] for part in segment.parts), "3.1", f"{segment.uri} is not its parts")
        for part in segment.parts[:-1]:
            self.data[part["url"]] = b""  # known, and checked

    # --- requests ---

    def check_delta(self, whole, delta, old):
        """A delta update tells what the whole one tells (6.2.5.1)."""
        skipped = int(delta.tags.get("EXT-X-SKIP", {}).get("SKIPPED-SEGMENTS", 0))
        need(len(whole.segments) == skipped + len(delta.segments), "6.2.5.1", f"{skipped} skipped, {len(delta.segments)} of {len(whole.segments)} there")
        need(whole.text.endswith("\n".join(delta.lines[delta.lines.index("#EXT-X-SKIP:SKIPPED-SEGMENTS=%d" % skipped) + 1:]) if skipped else "\n".join(delta.lines[2:])),
             "6.2.5.1", "what is not skipped differs")
        left = sum(segment.seconds or sum(map(seconds_of, segment.parts)) for segment in whole.segments[skipped:])
        need(left >= float(whole.tags["EXT-X-SERVER-CONTROL"]["CAN-SKIP-UNTIL"]), "6.2.5.1", f"{left} s are left") if skipped else None
        known = {segment.number: segment for segment in old.segments}
        for segment in whole.segments[:skipped]:
            need(segment.number not in known or known[segment.number].uri == segment.uri, "6.2.5.1", "what is skipped was otherwise")
        self.counts["deltas"] += 1
        self.counts["skipped"] += skipped

    def check_report(self):
        """What is said of the other rendition lies between what it had before and what it has after."""
        playlist, _ = self.playlist()
        for report in playlist.reports:
            url = urllib.parse.urljoin(self.url, report["URI"])
            before, _ = self.playlist(url)
            playlist, _ = self.playlist()
            after, _ = self.playlist(url)
            report = next((r for r in playlist.reports if r["URI"] == report["URI"]), None)
            need(report, "4.4.5.4", "a report has gone")
            said = (int(report["LAST-MSN"]), int(report.get("LAST-PART", -1)))
            ends = [(p.segments[-1].number, len(p.segments[-1].parts) - 1) for p in (before, after)]
            need(ends[0] <= said <= ends[1], "4.4.5.4", f"{said} is not within {ends}")
            self.counts["reports"] += 1

    def check_refusals(self, playlist):
        """Of the segment after the open one, which may be over by the time that it is asked."""
        number, part = playlist.next
        limit = int(3 / float(playlist.tags["EXT-X-PART-INF"]["PART-TARGET"]))
        for directives, section in (({"part": 0}, "6.2.5.2"), ({"msn": number + 3}, "6.2.5.2"), ({"msn": number + 1, "part": part + limit + 6}, "6.2.5.2"),
                                    ({"msn": "x"}, "4.2"), ({"msn": -1}, "4.2"), ({"msn": number, "part": ""}, "4.2"), ({"skip": "NO"}, "6.2.5.1")):
            status = self.status(self.url, **directives)
            need(status == 400, section, f"{directives} is answered {status}")
        hint = urllib.parse.urljoin(self.url, playlist.hints[0]["URI"])
        later = re.sub(r"\d+(?=\.m4s)", lambda digits: str(int(digits[0]) + 50), hint)
        need(self.status(later) == 404, "6.2.6", f"{later} is not refused")

    def check_removed(self, old, new):
        """What is no longer listed can still be had (6.2.2)."""
        for segment in old.whole:
            if segment.number < new.segments[0].number:
                need(self.status(segment.uri) == 200, "6.2.2", f"{segment.uri} went too early")
                self.counts["removed"] += 1
        listed = {part["url"] for segment in new.segments for part in segment.parts}
        for segment in old.segments:
            for part in segment.parts:
                if part["url"] not in listed:
                    need(self.status(part["url"]) == 200, "6.2.2", f"{part['url']} went too early")

    def step(self, playlist):
        """One turn: the next part by its hint, and the playlist that has it, whole and as a delta, asked for at once."""
        number, part = playlist.next
        hint = urllib.parse.urljoin(self.url, playlist.hints[0]["URI"])
        hinted = self.pool.submit(self.media, hint)
        whole = self.pool.submit(self.playlist, msn=number, part=part)
        delta = self.pool.submit(lambda: self.playlist(msn=number, part=part, skip="YES"))
        data = hinted.result()
        new, waited = whole.result()
        check_alone(new)
        check_update(playlist, new)
        self.counts["playlists"] += 1
        need(new.has(number, part), "6.2.5.2", f"{(number, part)} is not in the answer, which ends at {new.end}")
        if waited > 0.1:  # it was waited for, so the answer came when it came: nothing later is there, unless this machine was busy
            last = new.segments[-1].parts
            self.counts["blocked"] += 1
            self.counts["late"] += bool(last and last[-1]["url"] != hint)
        listed = [part["url"] for segment in new.segments for part in segment.parts]
        need(hint in listed or not new.segments[-1].parts, "6.2.6", f"{hint} was hinted at and is not there")
        self.data.setdefault(hint, data)
        self.counts["hints"] += 1
        short, _ = delta.result()
        if short.end == new.end:
            check_alone(short)
            if short.reports == new.reports:
                self.check_delta(new, short, playlist)
        self.check_removed(playlist, new)
        self.take_new(new)
        self.counts["discontinuities"] = len({segment for segment in self.ends if segment[1] == 1}) - 1
        return new

    def play(self):
        end = time.monotonic() + self.seconds
        try:
            playlist, _ = self.playlist()
            check_alone(playlist)
            self.take_new(playlist)
            self.check_refusals(playlist)
            while time.monotonic() < end:
                playlist = self.try_(self.step, playlist) or self.playlist()[0]
                if self.counts["playlists"] % 7 == 0:
                    self.try_(self.check_report)
        except (Fault, OSError) as error:
            self.fault(f"it ended: {error!r}")
        self.pool.shutdown()
        return self


def check_index(url, faults):
    """The multivariant playlist; returns its variants."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            playlist = Playlist(answer.read().decode(), url)
        need(playlist.variants and not playlist.segments, "4.4.6.2", playlist.text)
        for variant in playlist.variants:
            need(all(key in variant for key in ("CODECS", "RESOLUTION", "FRAME-RATE", "AVERAGE-BANDWIDTH")), "4.4.6.2", variant)
            need(0 < int(variant["AVERAGE-BANDWIDTH"]) <= int(variant["BANDWIDTH"]), "4.4.6.2", variant)
        return playlist.variants
    except (Fault, OSError) as error:
        faults.append(str(error))
        return []
