/*
 * The ruler of a day: what is recorded, where the picture is, and the two ends of a clip. Wheel and pinch zoom, drags pan, clicks
 * and taps choose an instant; for keyboards and screen readers it is a slider.
 */
import { h } from "./dom.js";
import { length, t, when } from "./text.js";

const HOUR = 3600000;
const MINUTE = 60000;
const SHORTEST = 20000; // ms that are shown at least
const STEPS = [1000, 5000, 10000, 30000, MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR];
const LABEL_PX = 64; // apart at least
const CLICK_PX = 5; // what moves less is no drag
const GRIP_PX = 14;
const RULER_PX = 22;
const THUMBS_MISSED = 3; // then there are none
const NEAR_MS = 1500; // recordings so close are drawn as one

/* The colours of page.css that are drawn with: registered, they can be asked for as colours. */
const COLOURS = ["accent", "bad", "dim", "groove", "line", "shade", "text", "track", "warn"];
for (const name of COLOURS)
	CSS.registerProperty({ name: `--${name}`, syntax: "<color>", inherits: true, initialValue: "#888" });

/* Recordings, the earliest first, as spans of time. */
function joined(recordings) {
	const spans = [];

	for (const { start, end } of recordings) {
		const last = spans.at(-1);
		if (last && start - last.end < NEAR_MS)
			last.end = Math.max(last.end, end);
		else
			spans.push({ start, end });
	}
	return spans;
}

export class Timeline {
	#canvas;
	#bubble;
	#time;
	#thumb;
	#thumbsMissed = 0; // one after the other
	#events;
	#from = 0; // the day
	#to = 1;
	#left = 0; // what is shown of it
	#right = 1;
	#at = null;
	#spans = []; // what is recorded
	#motion = []; // what of it has motion
	#clip = null; // { from, to }
	#pointers = new Map();
	#drag = null;
	#drawing = 0;

	/* events: onSeek(ms), onClip({ from, to }), thumbnail(ms): an address. */
	constructor(events) {
		this.#events = events;
		this.#canvas = h("canvas", { role: "slider", tabindex: "0", "aria-label": t("timeline"), "aria-description": t("timelineHelp") });
		this.#time = h("span");
		this.#thumb = h("img", { alt: "", hidden: true });
		this.#thumb.addEventListener("error", () => {
			this.#thumb.hidden = true;
			this.#thumbsMissed++;
		});
		this.#thumb.addEventListener("load", () => {
			this.#thumb.hidden = false;
			this.#thumbsMissed = 0;
		});
		this.#bubble = h("div", { class: "bubble", hidden: true, "aria-hidden": "true" }, this.#thumb, this.#time);
		this.element = h("div", { class: "timeline" }, this.#canvas, this.#bubble);
		this.#canvas.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
		this.#canvas.addEventListener("pointerdown", (event) => this.#onDown(event));
		this.#canvas.addEventListener("pointermove", (event) => this.#onMove(event));
		for (const kind of ["pointerup", "pointercancel"])
			this.#canvas.addEventListener(kind, (event) => this.#onUp(event));
		this.#canvas.addEventListener("pointerleave", () => this.#hideBubble());
		this.#canvas.addEventListener("keydown", (event) => this.#onKey(event));
		this.#canvas.addEventListener("focus", () => this.draw());
		this.#canvas.addEventListener("blur", () => this.draw());
		new ResizeObserver(() => this.draw()).observe(this.#canvas);
	}

	setDay(from, to) {
		if (from === this.#from)
			return;
		[this.#from, this.#to, this.#left, this.#right] = [from, to, from, to];
		this.#spans = this.#motion = [];
		this.draw();
	}

	/* Recordings of the day, the earliest first. */
	setRecordings(recordings) {
		this.#spans = joined(recordings);
		this.#motion = joined(recordings.filter(({ motion }) => motion));
		this.draw();
	}

	/* Where the picture is; the ruler follows it when it leaves what is shown. */
	setInstant(ms) {
		const wasShown = this.#at !== null && this.#at >= this.#left && this.#at <= this.#right;
		const moved = this.#at === null ? 0 : ms - this.#at;

		this.#at = ms;
		if (!this.#drag && wasShown && moved > 0 && moved < 5000 && ms > this.#right)
			this.show(this.#left + (this.#right - this.#left) * 0.9, this.#right + (this.#right - this.#left) * 0.9);
		this.draw();
	}

	/* The clip's ends, or null. */
	get clip() {
		return this.#clip;
	}

	set clip(clip) {
		this.#clip = clip;
		this.draw();
	}

	/* Shows a part of the day. */
	show(left, right) {
		const span = Math.min(Math.max(right - left, SHORTEST), this.#to - this.#from);
		const start = Math.min(Math.max(left, this.#from), this.#to - span);

		this.#left = start;
		this.#right = start + span;
		this.draw();
	}

	/* Zooms by a factor around an instant. */
	zoom(factor, around = this.#at ?? (this.#left + this.#right) / 2) {
		this.show(around - (around - this.#left) * factor, around + (this.#right - around) * factor);
	}

	#x(ms) {
		return (ms - this.#left) / (this.#right - this.#left) * this.#canvas.clientWidth;
	}

	#instantAt(x) {
		return this.#left + x / this.#canvas.clientWidth * (this.#right - this.#left);
	}

	/* --- pointers --- */

	#onWheel(event) {
		event.preventDefault();
		if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
			const by = (event.deltaX || event.deltaY) / this.#canvas.clientWidth * (this.#right - this.#left);
			this.show(this.#left + by, this.#right + by);
		} else {
			this.zoom(Math.exp(event.deltaY / 300), this.#instantAt(event.offsetX));
		}
	}

	/* Which end of the clip is under a pointer: "from", "to" or null. */
	#gripAt(x) {
		const near = (end) => Math.abs(this.#x(this.#clip[end]) - x);

		if (!this.#clip)
			return null;
		const end = near("from") < near("to") ? "from" : "to";
		return near(end) <= GRIP_PX ? end : null;
	}

	#onDown(event) {
		this.#canvas.setPointerCapture(event.pointerId);
		this.#pointers.set(event.pointerId, event.offsetX);
		const grip = this.#gripAt(event.offsetX);
		const isScrub = !grip && this.#at !== null && Math.abs(this.#x(this.#at) - event.offsetX) <= GRIP_PX;
		this.#drag = { x: event.offsetX, left: this.#left, right: this.#right, kind: grip ?? (isScrub ? "scrub" : "pan"), moved: false };
		if (this.#pointers.size === 2) {
			const [a, b] = this.#pointers.values();
			this.#drag = { kind: "pinch", a: this.#instantAt(a), b: this.#instantAt(b), moved: true };
		}
	}

	#onMove(event) {
		const x = event.offsetX;

		if (!this.#drag || !this.#pointers.has(event.pointerId)) {
			this.#showBubble(x);
			this.#canvas.style.cursor = this.#gripAt(x) ? "ew-resize" : "pointer";
			return;
		}
		this.#pointers.set(event.pointerId, x);
		this.#drag.moved ||= Math.abs(x - this.#drag.x) > CLICK_PX;
		if (this.#drag.moved)
			this.#onDrag(x);
	}

	#onDrag(x) {
		const drag = this.#drag;
		const width = this.#canvas.clientWidth;

		if (drag.kind === "pinch") {
			const [a, b] = this.#pointers.values();
			const perPixel = (drag.b - drag.a) / (b - a || 1);
			if (perPixel > 0)
				this.show(drag.a - a * perPixel, drag.a + (width - a) * perPixel);
		} else if (drag.kind === "pan") {
			const by = (drag.x - x) / width * (drag.right - drag.left);
			this.show(drag.left + by, drag.right + by);
			this.#hideBubble();
		} else if (drag.kind === "scrub") {
			this.#at = this.#clamp(this.#instantAt(x));
			this.#showBubble(x);
			this.draw();
		} else {
			this.moveClip(drag.kind, this.#instantAt(x));
			this.#showBubble(x);
		}
	}

	#onUp(event) {
		const drag = this.#drag;

		this.#pointers.delete(event.pointerId);
		if (this.#pointers.size === 0)
			this.#drag = null;
		if (!drag || event.type === "pointercancel")
			return;
		if (!drag.moved || drag.kind === "scrub")
			this.#events.onSeek(this.#clamp(this.#instantAt(event.offsetX)));
		if (event.pointerType !== "mouse")
			this.#hideBubble();
	}

	/* Moves an end of the clip, a second from the other at least. */
	moveClip(end, ms) {
		const other = end === "from" ? this.#clip.to : this.#clip.from;
		const value = Math.round(this.#clamp(ms) / 1000) * 1000;

		this.#clip = { ...this.#clip, [end]: end === "from" ? Math.min(value, other - 1000) : Math.max(value, other + 1000) };
		this.draw();
		this.#events.onClip(this.#clip);
	}

	#clamp(ms) {
		return Math.min(Math.max(ms, this.#from), this.#to - 1);
	}

	#isRecorded(ms) {
		return this.#spans.some(({ start, end }) => ms >= start && ms < end);
	}

	#showBubble(x) {
		const ms = this.#instantAt(x);
		const recorded = this.#isRecorded(ms);
		const half = this.#bubble.offsetWidth / 2;

		this.#bubble.hidden = false;
		this.#time.textContent = when("time", ms) + (recorded ? "" : ` · ${t("unrecorded")}`);
		this.#bubble.style.left = `${Math.min(Math.max(x, half), this.#canvas.clientWidth - half)}px`;
		this.#showThumb(recorded ? this.#events.thumbnail(ms) : null);
	}

	/* One picture after the other: a pointer moves faster than they come. */
	#showThumb(address) {
		if (!address || this.#thumbsMissed >= THUMBS_MISSED)
			this.#thumb.hidden = true;
		else if (this.#thumb.complete && this.#thumb.getAttribute("src") !== address)
			this.#thumb.src = address;
	}

	#hideBubble() {
		this.#bubble.hidden = true;
	}

	/* --- keys --- */

	#onKey(event) {
		const step = event.shiftKey ? (this.#right - this.#left) / 24 : 1000;
		const moves = {
			ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step,
			PageUp: 10 * MINUTE, PageDown: -10 * MINUTE,
		};

		if (event.ctrlKey || event.metaKey || event.altKey)
			return;
		if (event.key in moves && this.#at !== null)
			this.#events.onSeek(this.#clamp(this.#at + moves[event.key]));
		else if (event.key === "Home" && this.#spans.length)
			this.#events.onSeek(this.#clamp(this.#spans[0].start));
		else if (event.key === "End" && this.#spans.length)
			this.#events.onSeek(this.#clamp(this.#spans.at(-1).end - 1000));
		else if (event.key === "+" || event.key === "=")
			this.zoom(0.5);
		else if (event.key === "-")
			this.zoom(2);
		else
			return;
		event.preventDefault();
		event.stopPropagation();
	}

	/* --- drawing --- */

	draw() {
		this.#drawing ||= requestAnimationFrame(() => {
			this.#drawing = 0;
			this.#paint();
		});
	}

	#describe() {
		const canvas = this.#canvas;

		canvas.setAttribute("aria-valuemin", Math.round(this.#from / 1000));
		canvas.setAttribute("aria-valuemax", Math.round(this.#to / 1000));
		canvas.setAttribute("aria-valuenow", Math.round((this.#at ?? this.#from) / 1000));
		canvas.setAttribute("aria-valuetext", this.#at === null ? t("unrecorded")
			: when("time", this.#at) + (this.#isRecorded(this.#at) ? "" : `, ${t("unrecorded")}`));
	}

	#paint() {
		const canvas = this.#canvas;
		const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio];
		const style = getComputedStyle(canvas);
		const colour = (name) => style.getPropertyValue(`--${name}`);
		const context = canvas.getContext("2d");

		if (!width)
			return;
		canvas.width = width * scale;
		canvas.height = height * scale;
		context.scale(scale, scale);
		context.font = `11px ${style.fontFamily}`;
		this.#paintRuler(context, width, height, colour);
		const paintSpans = (spans, name, top, thick) => {
			context.fillStyle = colour(name);
			for (const { start, end } of spans) {
				const x = this.#x(start);
				if (end > this.#left && start < this.#right)
					context.fillRect(x, top, Math.max(this.#x(end) - x, 1), thick);
			}
		};
		paintSpans(this.#spans, "track", RULER_PX + 6, height - RULER_PX - 12);
		paintSpans(this.#motion, "warn", RULER_PX + 6, 4);
		if (this.#clip)
			this.#paintClip(context, width, height, colour);
		if (this.#at !== null) {
			const x = Math.round(this.#x(this.#at));
			context.fillStyle = colour("bad");
			context.fillRect(x - 1, RULER_PX - 4, 2, height - RULER_PX + 4);
			context.beginPath();
			context.moveTo(x - 6, RULER_PX - 8);
			context.lineTo(x + 6, RULER_PX - 8);
			context.lineTo(x, RULER_PX + 1);
			context.fill();
		}
		this.#describe();
	}

	#paintRuler(context, width, height, colour) {
		const perPixel = (this.#right - this.#left) / width;
		const step = STEPS.find((one) => one / perPixel >= LABEL_PX) ?? STEPS.at(-1);
		const minor = step / (step % (6 * MINUTE) === 0 ? 6 : 5);

		context.fillStyle = colour("groove");
		context.fillRect(0, RULER_PX + 6, width, height - RULER_PX - 12);
		context.textAlign = "center";
		for (let k = Math.floor((this.#left - this.#from) / minor); this.#from + k * minor <= this.#right; k++) {
			const ms = this.#from + k * minor;
			const x = Math.round(this.#x(ms));
			const isMajor = (k * minor) % step === 0;
			context.fillStyle = colour("line");
			context.fillRect(x, isMajor ? RULER_PX - 6 : RULER_PX - 2, 1, isMajor ? height - RULER_PX : 6);
			if (!isMajor)
				continue;
			const label = step < MINUTE ? when("time", ms) : ms === this.#to ? "24:00" : when("minute", ms);
			const half = context.measureText(label).width / 2;
			if (ms !== this.#from && ms !== this.#to && (x < half || x > width - half))
				continue;
			context.fillStyle = colour("dim");
			context.fillText(label, Math.min(Math.max(x, half + 1), width - half - 1), 12);
		}
	}

	#paintClip(context, width, height, colour) {
		const [from, to] = [this.#x(this.#clip.from), this.#x(this.#clip.to)];

		context.fillStyle = colour("shade");
		context.fillRect(0, RULER_PX, from, height - RULER_PX);
		context.fillRect(to, RULER_PX, width - to, height - RULER_PX);
		context.fillStyle = colour("accent");
		context.fillRect(from, RULER_PX + 2, to - from, 2);
		context.fillRect(from, height - 4, to - from, 2);
		for (const x of [from, to]) {
			context.fillRect(x - 1, RULER_PX, 2, height - RULER_PX);
			context.fillRect(x - 4, (RULER_PX + height) / 2 - 9, 8, 18);
		}
		const label = length((this.#clip.to - this.#clip.from) / 1000);
		if (to - from > context.measureText(label).width + 20) {
			context.fillStyle = colour("text");
			context.textAlign = "center";
			context.fillText(label, (from + to) / 2, (RULER_PX + height) / 2 + 4);
		}
	}
}
