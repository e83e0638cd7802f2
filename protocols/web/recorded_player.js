/*
 * Plays a camera's recordings from any instant on: byte ranges of the files, as the playlist of a range names them, go into a
 * SourceBuffer. Decode times count from an origin that is the same for all files, so that the video's time is the recordings'
 * time, over files and gaps. Where the codec changes another MediaSource begins.
 */
import { sleep } from "./dom.js";
import { attachSource, isPlayable, once } from "./live_player.js";
import { PictureTimes } from "./picture_times.js";
import { findRecordings, readPart, readPlaylist } from "./server.js";

const WINDOW_MS = 300000; // of one playlist
const AHEAD_S = 20; // this much is fetched ahead, times the speed
const BEHIND_S = 30; // this much is kept
const AGAIN_MS = 2000; // what is being recorded grows
const LOOK_MS = 100;
const STALL_S = 1; // a picture that waits so near the end of what there is will not go on
const JOIN_S = 0.3; // a hole so small is no gap
const BATCH = 100; // recordings found at once
const DAY_S = 86400;
const INTO_S = 0.02; // a step goes so far into a picture at most
const ROUNDED_S = 0.002; // browsers count microseconds
const TOLD_MS = 600; // so long a step waits until it is known which picture is shown
const TOLD_LOOK_MS = 20;

/* What of a recording's codecs a browser plays in MP4 (sound that it does not is hidden in playlists); "" when there is no picture. */
function playableType(codecs) {
	const good = codecs.split(",").filter((codec) => isPlayable(`video/mp4; codecs="${codec}"`));

	return good.length && good[0] === codecs.split(",")[0] ? `video/mp4; codecs="${good.join(",")}"` : "";
}

export class RecordedPlayer {
	#video;
	#camera;
	#tell;
	#session = null; // of one MediaSource: an AbortController
	#origin = 0; // ms
	#goal = null; // the instant that was asked for, until it can be shown
	#speed = 1;
	#wantsToPlay = false;
	#feed = null;
	#shownAt = null; // the time of the picture that is shown, once the browser has told it
	#steps = Promise.resolve(); // one after the other

	/* tell(state, detail): "loading", "playing", "unplayable" with the codecs, "end", "failed". */
	constructor(video, camera, tell) {
		this.#video = video;
		this.#camera = camera;
		this.#tell = tell;
		this.#watchFrames();
	}

	/* The instant that is shown, in ms; null: none. */
	get instant() {
		return this.#goal ?? (this.#session && this.#video.readyState > 0 ? this.#origin + this.#video.currentTime * 1000 : null);
	}

	get isPlaying() {
		return this.#wantsToPlay;
	}

	set speed(speed) {
		this.#speed = speed;
		this.#video.playbackRate = this.#video.defaultPlaybackRate = speed;
	}

	play() {
		this.#wantsToPlay = true;
		this.#video.play().catch(() => {});
	}

	pause() {
		this.#wantsToPlay = false;
		this.#video.pause();
	}

	/* One picture on (1) or back (-1). */
	step(direction) {
		this.pause();
		this.#steps = this.#steps.then(() => this.#step(direction));
	}

	async #step(direction) {
		for (let left = TOLD_MS; this.#shownAt === null && left > 0; left -= TOLD_LOOK_MS)
			await sleep(TOLD_LOOK_MS);
		const pictures = this.#feed?.pictures ?? [];
		const at = this.#shownAt ?? this.#video.currentTime;
		const to = pictures.findLastIndex((one) => one <= at + ROUNDED_S) + direction;
		const { [to]: time, [to + 1]: next = Infinity } = pictures;

		if (time !== undefined)
			this.seek(this.#origin + (time + Math.min(INTO_S, (next - time) / 2)) * 1000);
		else
			this.#load(this.#origin + (direction > 0 ? this.#bufferedUntil(at) + INTO_S : at - INTO_S) * 1000);
	}

	#show(time) {
		this.#shownAt = null;
		this.#video.currentTime = time;
	}

	/* Shows the picture of an instant, or the first one after it. */
	seek(instant) {
		const time = (instant - this.#origin) / 1000;

		if (this.#session && this.#goal === null && this.#isBuffered(time))
			this.#show(time);
		else
			this.#load(instant);
	}

	#load(instant) {
		this.#goal = instant;
		this.#session?.abort();
		this.#session = new AbortController();
		this.#run(instant, this.#session.signal);
	}

	stop() {
		this.#session?.abort();
		this.#session = null;
		this.#goal = null;
		this.#video.removeAttribute("src");
		this.#video.load();
	}

	#isBuffered(time) {
		const ranges = this.#video.buffered;

		for (let i = 0; i < ranges.length; i++) {
			if (time >= ranges.start(i) - JOIN_S && time < ranges.end(i))
				return true;
		}
		return false;
	}

	/* Where the run of pictures ends that goes on from a time, over holes that are no gaps. */
	#bufferedUntil(time) {
		const ranges = this.#video.buffered;
		let end = time;

		for (let i = 0; i < ranges.length; i++) {
			if (ranges.start(i) <= end + JOIN_S && ranges.end(i) > end)
				end = ranges.end(i);
		}
		return end;
	}

	#watchFrames() {
		const look = (now, { mediaTime }) => {
			this.#shownAt = this.#video.seeking ? null : mediaTime; // or, after a jump, any time within that picture
			this.#video.requestVideoFrameCallback(look);
		};
		this.#video.requestVideoFrameCallback?.(look);
	}

	/* Plays from an instant on, one MediaSource after the other. */
	async #run(instant, signal) {
		let at = instant;

		while (!signal.aborted) {
			try {
				this.#tell("loading");
				at = await this.#playRun(at, signal);
				if (at === null) {
					this.#tell("end");
					return;
				}
				this.#goal = at;
			} catch (error) {
				if (signal.aborted)
					return;
				this.#tell("failed", error.message);
				at = this.instant ?? at;
				this.#goal = at;
				await sleep(AGAIN_MS, signal);
			}
		}
	}

	/* Plays what has the same codecs from an instant on. Returns the instant at which to go on; null: there is nothing. */
	async #playRun(instant, signal) {
		const [first] = await findRecordings(this.#camera, instant, Date.now() + DAY_S * 1000, 1, signal);
		if (!first)
			return null;
		const type = playableType(first.codecs);
		if (!type) {
			this.#tell("unplayable", first.codecs);
			await sleep(DAY_S * 1000, signal);
			signal.throwIfAborted();
		}
		const from = Math.max(instant, first.start);
		this.#origin = Math.floor(from / (DAY_S * 1000)) * DAY_S * 1000;
		this.#goal = from;
		const source = await attachSource(this.#video, signal);
		source.duration = 3 * DAY_S; // or nobody could be sent there before it has come
		const feed = new Feed(this.#camera, first.codecs, this.#origin, source.addSourceBuffer(type), signal);
		this.#feed = feed;
		this.#video.playbackRate = this.#speed;
		for (;;) {
			const isMore = this.#needsMore() && await feed.next(from);
			this.#showGoal();
			if (this.#jumpsOver(feed))
				return feed.another;
			await feed.forget(this.#video.currentTime - BEHIND_S);
			if (!isMore)
				await sleep(LOOK_MS, signal);
			signal.throwIfAborted();
		}
	}

	#needsMore() {
		const time = this.#goal === null ? this.#video.currentTime : (this.#goal - this.#origin) / 1000;
		const ranges = this.#video.buffered;
		let ahead = 0;

		for (let i = 0; i < ranges.length; i++)
			ahead += Math.max(0, ranges.end(i) - Math.max(ranges.start(i), time));
		return ahead < AHEAD_S * Math.max(1, this.#speed);
	}

	/* Goes to what was asked for, once it is there. */
	#showGoal() {
		const time = (this.#goal - this.#origin) / 1000;

		if (this.#goal === null || this.#video.buffered.length === 0)
			return;
		const start = this.#video.buffered.start(0), end = this.#video.buffered.end(this.#video.buffered.length - 1);
		if (time > end)
			return;
		this.#show(Math.max(time, start));
		this.#goal = null;
		this.#tell("playing");
		if (this.#wantsToPlay)
			this.#video.play().catch(() => {});
	}

	/* Where a gap is reached the picture goes on behind it. True: there something else has to be played. */
	#jumpsOver(feed) {
		const video = this.#video;
		const time = video.currentTime;
		const ranges = video.buffered;

		if (this.#goal !== null || video.seeking || !this.#wantsToPlay || video.readyState > HTMLMediaElement.HAVE_CURRENT_DATA ||
			this.#bufferedUntil(time) - time > STALL_S)
			return false;
		for (let i = 0; i < ranges.length; i++) {
			if (ranges.start(i) > time) {
				video.currentTime = ranges.start(i) + 0.001;
				return false;
			}
		}
		return feed.another !== null;
	}
}

/* What was deleted meanwhile is left out. */
function isGone(error) {
	if (error.status !== 404)
		throw error;
}

/* Fills one SourceBuffer. */
class Feed {
	#camera;
	#codecs;
	#origin;
	#buffer;
	#signal;
	#entries = []; // of the playlist, that are to come
	#until = null; // the end of what has come, ms
	#taken = new Map(); // by file: the offset behind what has come of it
	#restsUntil = 0;
	#map = ""; // what has been given of this kind
	#times = null; // of the pictures that go with it
	pictures = []; // when those are shown that have come: s, the earliest first
	another = null; // from when on there are other codecs, ms

	constructor(camera, codecs, origin, buffer, signal) {
		this.#camera = camera;
		this.#codecs = codecs;
		this.#origin = origin;
		this.#buffer = buffer;
		this.#signal = signal;
	}

	async #append(data) {
		this.#buffer.appendBuffer(data);
		await once(this.#buffer, "updateend", this.#signal);
	}

	/* Fetches one piece more. False: there is none now. */
	async next(from) {
		if (this.#entries.length === 0 && !await this.#look(this.#until ?? from))
			return false;
		if (this.#entries.length === 0)
			return true;
		const { file, offset, bytes, end, map } = this.#entries.shift();
		const taken = Math.max(offset, this.#taken.get(file) ?? 0);
		this.#until = end;
		if (taken >= offset + bytes)
			return true;
		if (this.#map !== `${map.file}@${map.offset}`) {
			const head = await readPart(map, this.#origin, this.#signal).catch(isGone);
			if (!head)
				return true;
			await this.#append(head);
			this.#times = new PictureTimes(head);
			this.#map = `${map.file}@${map.offset}`;
		}
		const part = await readPart({ file, offset: taken, bytes: offset + bytes - taken }, this.#origin, this.#signal).catch(isGone);
		if (part) {
			await this.#append(part);
			this.pictures = [...this.pictures, ...this.#times.of(part)].sort((a, b) => a - b);
		}
		this.#taken.set(file, offset + bytes);
		return true;
	}

	/* Finds what comes behind an instant. */
	async #look(instant) {
		if (this.another !== null || performance.now() < this.#restsUntil)
			return false;
		const found = await findRecordings(this.#camera, instant, Date.now() + DAY_S * 1000, BATCH, this.#signal);
		if (found.length === 0)
			return this.#rest();
		const from = Math.max(instant, found[0].start);
		const other = found.find((one) => one.codecs !== this.#codecs);
		if (other === found[0]) {
			this.another = from;
			return false;
		}
		const to = Math.min(from + WINDOW_MS, other?.start ?? Infinity);
		const playlist = await readPlaylist(this.#camera, from, to, this.#signal).catch(isGone) ?? [];
		this.#entries = playlist.filter((one) => one.end > instant);
		const isNew = this.#entries.some((one) => one.offset + one.bytes > (this.#taken.get(one.file) ?? 0));
		if (isNew)
			return true;
		this.#entries = [];
		if (to < found[0].end || found.length > 1) {
			this.#until = to < found[0].end ? to : found[0].end;
			return true;
		}
		return this.#rest();
	}

	/* There is nothing now, but it may come. */
	#rest() {
		this.#restsUntil = performance.now() + AGAIN_MS;
		return false;
	}

	/* Lets go what was shown before that time. */
	async forget(time) {
		const ranges = this.#buffer.buffered;

		if (ranges.length === 0 || ranges.start(0) > time - BEHIND_S)
			return;
		this.pictures = this.pictures.filter((at) => at >= time);
		this.#buffer.remove(0, time);
		await once(this.#buffer, "updateend", this.#signal);
	}
}
