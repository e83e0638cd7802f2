// The past of one camera: its picture, a day's timeline, a calendar, and clips.
import { h, iconButton, isForView, isNarrow, load, save, select, setIcon, sleep, toggleFullscreen } from "./dom.js";
import { RecordedPlayer } from "./recorded_player.js";
import { findRecordings, instantName, listDays, rangeName, request } from "./server.js";
import { bytes, length, t, when } from "./text.js";
import { Timeline } from "./timeline.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16];
const AGAIN_MS = 10000; // today goes on
const TICK_MS = 200;
const CLIP_LOOK_MS = 400; // after the last move of an end
const CLIP_MS = 60000; // of a new clip, around the picture

function startOfDay(ms) {
	const day = new Date(ms);
	return new Date(day.getFullYear(), day.getMonth(), day.getDate()).getTime();
}

/* The day so many days later; days are not all 24 hours long. */
function addDays(day, n) {
	const date = new Date(day);
	return new Date(date.getFullYear(), date.getMonth(), date.getDate() + n).getTime();
}

const two = (n) => String(n).padStart(2, "0");

/* As the folders of recordings are named. */
function folderName(day) {
	const date = new Date(day);
	return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/* --- the month --- */

class Calendar {
	#month;
	#day;
	#days = new Set();
	#onPick;

	constructor(onPick) {
		this.#onPick = onPick;
		this.element = h("div", { class: "calendar", role: "group", "aria-label": t("calendar") });
	}

	/* The day that is chosen. */
	set day(day) {
		this.#day = day;
		this.#month = new Date(new Date(day).getFullYear(), new Date(day).getMonth(), 1);
		this.#draw();
	}

	set days(days) {
		this.#days = days;
		this.#draw();
	}

	#turn(by) {
		this.#month = new Date(this.#month.getFullYear(), this.#month.getMonth() + by, 1);
		this.#draw();
		this.element.querySelector(by < 0 ? "button" : "button:last-of-type")?.focus();
	}

	#draw() {
		if (!this.#month)
			return;
		const [year, month] = [this.#month.getFullYear(), this.#month.getMonth()];
		const blank = (this.#month.getDay() + 6) % 7; // weeks begin on Monday
		const count = new Date(year, month + 1, 0).getDate();
		const weekdays = [1, 2, 3, 4, 5, 6, 7].map((n) => h("span", { class: "weekday", "aria-hidden": "true" }, when("weekday", new Date(2024, 0, n).getTime())));
		const cells = Array.from({ length: count }, (_, i) => this.#cell(new Date(year, month, i + 1).getTime()));

		if (cells.length)
			cells[0].style.gridColumnStart = blank + 1;
		this.element.replaceChildren(
			h("div", { class: "calendar-head" }, iconButton("back", t("previousMonth"), () => this.#turn(-1)),
				h("span", { "aria-live": "polite" }, when("month", this.#month.getTime())), iconButton("next", t("nextMonth"), () => this.#turn(1))),
			h("div", { class: "calendar-days" }, ...weekdays, ...cells));
	}

	#cell(day) {
		const has = this.#days.has(folderName(day));

		return h("button", { type: "button", class: has ? "has" : "", disabled: !has, "aria-label": when("day", day), "aria-pressed": String(day === this.#day),
			onclick: () => this.#onPick(day) }, String(new Date(day).getDate()));
	}
}

/* --- a clip's ends and its file --- */

class ClipPanel {
	#camera;
	#timeline;
	#inputs;
	#size = h("span", { class: "dim", role: "status" });
	#link;
	#looking = null; // AbortController

	constructor(camera, timeline) {
		const input = (end, label) => h("input", { type: "time", step: "1", "aria-label": label,
			onchange: (event) => this.#onTyped(end, event.target) });

		this.#camera = camera;
		this.#timeline = timeline;
		this.#inputs = { from: input("from", t("clipStart")), to: input("to", t("clipEnd")) };
		this.#link = h("a", { class: "button", role: "link", "aria-disabled": "true" }, t("download"));
		this.element = h("div", { class: "clip", role: "group", "aria-label": t("clip"), hidden: true },
			h("label", {}, t("clipFrom"), this.#inputs.from), h("label", {}, t("clipTo"), this.#inputs.to), this.#link, this.#size);
	}

	/* The ends as they are now; null: there is no clip. */
	show(clip) {
		this.element.hidden = !clip;
		this.#looking?.abort();
		this.#forget();
		if (!clip)
			return;
		for (const [end, input] of Object.entries(this.#inputs)) {
			const date = new Date(clip[end]);
			input.value = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
		}
		this.#looking = new AbortController();
		this.#look(clip, this.#looking.signal);
	}

	#onTyped(end, { valueAsNumber }) {
		const clip = this.#timeline.clip;

		if (clip && Number.isFinite(valueAsNumber))
			this.#timeline.moveClip(end, startOfDay(clip[end]) + valueAsNumber);
	}

	#forget() {
		this.#link.removeAttribute("href");
		this.#link.setAttribute("aria-disabled", "true");
		this.#size.textContent = "…";
	}

	/* Asks what the clip would be: its length in bytes, or why it cannot be. */
	async #look({ from, to }, signal) {
		const path = rangeName(this.#camera, from, to, "mp4");

		await sleep(CLIP_LOOK_MS, signal);
		if (signal.aborted)
			return;
		const recorded = await findRecordings(this.#camera, from, to, undefined, signal).catch(() => []);
		const codecs = new Set(recorded.map((one) => one.codecs));
		const answer = codecs.size === 1 ? await request(path, { method: "HEAD", signal }).catch((error) => error) : null;
		if (signal.aborted)
			return;
		if (answer?.ok) {
			this.#link.href = path;
			this.#link.download = `${this.#camera}-${instantName(from)}--${instantName(to)}.mp4`;
			this.#link.removeAttribute("aria-disabled");
			this.#size.textContent = t("clipSize", { time: length((to - from) / 1000), size: bytes(Number(answer.headers.get("Content-Length"))) });
		} else {
			this.#size.textContent = t(codecs.size === 0 ? "clipNothing" : codecs.size > 1 || answer?.status === 409 ? "clipMixed" : "clipFailed");
		}
	}
}

/* --- the view --- */

export class RecordedView {
	#camera;
	#day = null;
	#recordings = [];
	#closed = new AbortController();
	#player;
	#timeline;
	#calendar = new Calendar((day) => this.#showDay(day, true));
	#clip;
	#video;
	#message = h("p", { class: "message", role: "status" });
	#clock = h("output", { class: "clock" });
	#date = h("button", { type: "button", class: "date", "aria-expanded": "false", onclick: () => this.#toggleCalendar() });
	#playButton;
	#soundButton;
	#clipButton;

	/* Shows the instant (ms), or the newest recording when it is null; `names` are all cameras. */
	constructor(camera, names, instant) {
		this.title = t("recordings");
		this.#camera = camera;
		this.#video = h("video", { playsinline: true, "aria-label": t("recordedPicture", { camera }), onclick: () => this.#togglePlay() });
		this.#player = new RecordedPlayer(this.#video, camera, (state, detail) => this.#onState(state, detail));
		this.#timeline = new Timeline({ onSeek: (ms) => this.#seek(ms), onClip: (clip) => this.#clip.show(clip), thumbnail: (ms) => this.#thumbnail(ms) });
		this.#clip = new ClipPanel(camera, this.#timeline);
		this.toolbar = [select(t("camera"), names.map((name) => [name, name]), camera, (name) => this.#toCamera(name))];
		this.#build();
		this.#start(instant);
	}

	#build() {
		const speeds = SPEEDS.map((speed) => [String(speed), `${speed}×`]);

		this.#playButton = iconButton("play", t("play"), () => this.#togglePlay());
		this.#soundButton = iconButton("sound", t("volume"), () => this.#toggleSound());
		this.#clipButton = iconButton("clip", t("clip"), () => this.#toggleClip(), { "aria-pressed": "false" });
		this.#video.muted = !load("recordedSound", false);
		this.#showSound();
		const picture = h("div", { class: "picture" }, this.#video, this.#message);
		const bar = h("div", { class: "play-bar" },
			h("div", { class: "day-bar" }, iconButton("back", t("previousDay"), () => this.#turnDay(-1)), this.#date, iconButton("next", t("nextDay"), () => this.#turnDay(1))),
			h("div", { class: "buttons" }, iconButton("stepBack", t("stepBack"), () => this.#player.step(-1)), this.#playButton,
				iconButton("stepNext", t("stepNext"), () => this.#player.step(1)), this.#clock,
				select(t("speed"), speeds, "1", (speed) => (this.#player.speed = Number(speed)))),
			h("div", { class: "buttons" }, this.#soundButton, this.#clipButton,
				iconButton("now", t("toLive"), () => (location.hash = `live/${this.#camera}`)), iconButton("full", t("full"), () => toggleFullscreen(picture))));
		this.#calendar.element.hidden = true;
		if (isNarrow.matches) // there it is below everything
			this.#toggleCalendar();
		this.element = h("section", { class: "recorded", "aria-label": t("recordings") }, picture,
			h("div", { class: "panel" }, bar, this.#timeline.element, this.#clip.element, this.#calendar.element));
	}

	async #start(instant) {
		const signal = this.#closed.signal;

		try {
			const days = await listDays(this.#camera);
			this.#calendar.days = days;
			if (days.size === 0) {
				this.#message.textContent = t("noRecordingsEver");
				this.#setDay(startOfDay(Date.now()));
				return;
			}
			const last = [...days].sort().at(-1);
			await this.#showDay(startOfDay(instant ?? new Date(`${last}T12:00:00`).getTime()), false);
			if (instant === null && this.#recordings.length)
				instant = Math.max(this.#recordings.at(-1).end - 30000, this.#recordings[0].start);
			if (instant !== null && !signal.aborted) {
				this.#player.play();
				this.#seek(instant);
			}
		} catch (error) {
			this.#message.textContent = error.message;
		}
		this.#tick(signal);
		this.#refresh(signal);
	}

	close() {
		this.#closed.abort();
		this.#player.stop();
	}

	update() {}

	onKey(event) {
		const actions = {
			" ": () => this.#togglePlay(), k: () => this.#togglePlay(),
			",": () => this.#player.step(-1), ".": () => this.#player.step(1),
			ArrowLeft: () => this.#skip(-10000), ArrowRight: () => this.#skip(10000),
			f: () => toggleFullscreen(this.element.firstChild), m: () => this.#toggleSound(), c: () => this.#toggleClip(),
			"+": () => this.#timeline.zoom(0.5), "-": () => this.#timeline.zoom(2),
		};
		const isButton = event.target.closest?.("button, a");

		if (!isForView(event) || !actions[event.key] || (event.key === " " && isButton))
			return;
		event.preventDefault();
		actions[event.key]();
	}

	/* --- days --- */

	#setDay(day) {
		this.#day = day;
		this.#date.textContent = when("day", day);
		this.#date.title = t("calendar");
		this.#calendar.day = day;
		this.#timeline.setDay(day, addDays(day, 1));
	}

	async #loadDay() {
		const day = this.#day;
		const found = await findRecordings(this.#camera, day, addDays(day, 1), undefined, this.#closed.signal);

		if (day !== this.#day)
			return;
		this.#recordings = found;
		this.#timeline.setRecordings(found);
	}

	/* Shows another day, from its first recording on when it is to be played. */
	async #showDay(day, andPlay) {
		this.#setDay(day);
		if (this.#timeline.clip)
			this.#toggleClip();
		await this.#loadDay();
		if (!andPlay)
			return;
		if (this.#recordings.length) {
			this.#seek(Math.max(this.#recordings[0].start, day));
		} else {
			this.#player.stop();
			this.#timeline.setInstant(day);
			this.#message.textContent = t("noRecordings");
		}
	}

	#turnDay(by) {
		this.#showDay(addDays(this.#day, by), true).catch(() => {});
	}

	#toggleCalendar() {
		const isOpen = this.#calendar.element.hidden;

		this.#calendar.element.hidden = !isOpen;
		this.#date.setAttribute("aria-expanded", String(isOpen));
	}

	/* Today goes on. */
	async #refresh(signal) {
		while (!signal.aborted) {
			await sleep(AGAIN_MS, signal);
			if (!signal.aborted && addDays(this.#day, 1) > Date.now())
				await this.#loadDay().catch(() => {});
		}
	}

	/* Follows the picture. */
	async #tick(signal) {
		while (!signal.aborted) {
			const instant = this.#player.instant;
			if (instant !== null) {
				const day = startOfDay(instant);
				if (day !== this.#day)
					this.#showDay(day, false).catch(() => {});
				this.#timeline.setInstant(instant);
				this.#clock.textContent = when("time", instant);
			}
			const isPlaying = this.#player.isPlaying;
			if ((this.#playButton.getAttribute("aria-label") === t("pause")) !== isPlaying)
				setIcon(this.#playButton, isPlaying ? "pause" : "play", t(isPlaying ? "pause" : "play"));
			await sleep(TICK_MS, signal);
		}
	}

	/* --- the picture --- */

	#seek(ms) {
		this.#timeline.setInstant(ms);
		this.#clock.textContent = when("time", ms);
		this.#player.seek(ms);
		history.replaceState(null, "", `#recordings/${this.#camera}/${instantName(Math.round(ms))}`);
	}

	#skip(by) {
		if (this.#player.instant !== null)
			this.#seek(this.#player.instant + by);
	}

	#togglePlay() {
		if (this.#player.isPlaying)
			this.#player.pause();
		else
			this.#player.play();
	}

	#toggleSound() {
		this.#video.muted = !this.#video.muted;
		save("recordedSound", !this.#video.muted);
		this.#showSound();
	}

	#showSound() {
		setIcon(this.#soundButton, this.#video.muted ? "silent" : "sound", t(this.#video.muted ? "soundOn" : "soundOff", { camera: this.#camera }));
	}

	#onState(state, detail) {
		const messages = { loading: "", playing: "", unplayable: () => t("cannotPlay", { what: detail }), end: () => t("endOfRecordings"), failed: () => t("stopped") };

		this.#message.textContent = messages[state] ? messages[state]() : "";
		this.element.dataset.state = state;
	}

	#toCamera(name) {
		const instant = this.#player.instant;

		location.hash = `recordings/${name}${instant === null ? "" : `/${instantName(Math.round(instant))}`}`;
	}

	#thumbnail(ms) {
		return `recordings/${this.#camera}/${instantName(Math.round(ms / 1000) * 1000)}.jpg?width=160`;
	}

	#toggleClip() {
		const at = Math.floor((this.#player.instant ?? this.#day) / 1000) * 1000;
		const from = Math.max(at - CLIP_MS / 2, this.#day);

		if (this.#timeline.clip) {
			this.#timeline.clip = null;
		} else {
			this.#timeline.clip = { from, to: from + CLIP_MS };
			this.#timeline.show(from - 3 * CLIP_MS, from + 4 * CLIP_MS);
		}
		this.#clipButton.setAttribute("aria-pressed", String(Boolean(this.#timeline.clip)));
		this.#clip.show(this.#timeline.clip);
	}
}
