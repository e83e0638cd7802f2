/*
 * Plays a camera's live picture. Four ways are tried from the quickest to the plainest: WHEP (WebRTC), Media Source Extensions
 * fed with live.mp4, HLS, and Motion JPEG.
 */
import { h, sleep } from "./dom.js";
import { request } from "./server.js";

export const TRANSPORTS = { whep: "WebRTC", mse: "MSE", hls: "HLS", mjpeg: "MJPEG" };

const RETRY_MS = 1500;
const REFUSED_MS = 60000; // so long a way that did not work is left out
const FROZEN_MS = 8000; // no new picture for so long: start again
const FIRST_PICTURE_MS = 15000;
const LOOK_MS = 1000;
const TARGET_BEHIND_S = 0.6;
const SPARE_S = 0.25; // so much may be left to play when the next piece comes; of more, some is played a little faster
const SPARE_GROWS_S = 0.05; // so slowly is a late piece forgotten
const MAX_BEHIND_S = 3; // then jump to the newest picture
const KEEP_BEHIND_S = 15; // of what was played
const ICE_MS = 1000;
const PARTS_MS = 500; // between two looks into a playlist
const ENDLESS = new Set(["mse", "mjpeg"]); // answers that do not end
const ENDLESS_MOST = 4; // browsers keep six connections to a server by HTTP/1.1

const Source = window.ManagedMediaSource ?? window.MediaSource;

let endless = 0; // so many are read

function mayBeEndless() {
	return endless < ENDLESS_MOST || performance.getEntriesByType("navigation")[0]?.nextHopProtocol === "h2";
}

/* This way will not do for this camera in this browser: the next one is tried. */
class Refused extends Error {}

/* Resolves when the next event of that kind comes; rejects on error, or when the signal is aborted. */
export function once(target, event, signal) {
	const listening = new AbortController();
	const options = { once: true, signal: listening.signal };
	const result = new Promise((resolve, reject) => {
		target.addEventListener(event, resolve, options);
		target.addEventListener("error", () => reject(new Error(`no ${event}`)), options);
		signal?.addEventListener("abort", () => reject(signal.reason), options);
	});

	return result.finally(() => listening.abort());
}

/* A source of media for that video. */
export async function attachSource(video, signal) {
	const source = new Source();
	const opened = once(source, "sourceopen", signal);
	const url = URL.createObjectURL(source);

	video.disableRemotePlayback = true;
	video.src = url;
	try {
		await opened;
	} catch (error) {
		if (video.src === url) { // or it would still look for what is not there any more
			video.removeAttribute("src");
			video.load();
		}
		throw error;
	} finally {
		URL.revokeObjectURL(url);
	}
	return source;
}

export function isPlayable(type) {
	return Boolean(Source?.isTypeSupported(type));
}

/* --- the ways: each plays until it fails or the signal is aborted --- */

async function playWhep(player, base, signal) {
	const connection = new RTCPeerConnection();
	let resource = null;

	try {
		const stream = new MediaStream();
		const lost = new Promise((resolve, reject) => {
			connection.addEventListener("connectionstatechange", () =>
				["failed", "closed"].includes(connection.connectionState) && reject(new Error(connection.connectionState)));
			signal.addEventListener("abort", () => reject(signal.reason));
		});
		lost.catch(() => {});
		connection.addTransceiver("video", { direction: "recvonly" });
		connection.addTransceiver("audio", { direction: "recvonly" });
		connection.addEventListener("track", ({ track }) => stream.addTrack(track));
		await connection.setLocalDescription();
		if (connection.iceGatheringState !== "complete")
			await Promise.race([once(connection, "icegatheringstatechange", signal), sleep(ICE_MS, signal)]);
		const answer = await request(`${base}whep`, { method: "POST", signal, headers: { "Content-Type": "application/sdp" },
			body: connection.localDescription.sdp });
		resource = answer.headers.get("Location") && new URL(answer.headers.get("Location"), answer.url);
		await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
		player.video.srcObject = stream;
		player.video.play().catch(() => {});
		await lost;
	} finally {
		player.video.srcObject = null;
		if (resource) // before its other end has seen that it is over
			request(resource, { method: "DELETE", keepalive: true }).catch(() => {}).finally(() => connection.close());
		else
			connection.close();
	}
}

/* Fills a SourceBuffer with what is live; keeps the picture near the newest one, and the memory small. */
class LiveBuffer {
	#video;
	#buffer;
	#signal;
	#spare = 0; // what was left to play when the latest pieces came

	constructor(video, buffer, signal) {
		this.#video = video;
		this.#buffer = buffer;
		this.#signal = signal;
	}

	get #end() {
		const ranges = this.#buffer.buffered;

		return ranges.length ? ranges.end(ranges.length - 1) : 0;
	}

	async append(piece) {
		this.#spare = Math.min(this.#end - this.#video.currentTime, this.#spare + SPARE_GROWS_S);
		this.#buffer.appendBuffer(piece);
		await once(this.#buffer, "updateend", this.#signal);
	}

	async follow() {
		const video = this.#video;
		const ranges = this.#buffer.buffered;

		if (ranges.length === 0)
			return;
		const start = ranges.start(ranges.length - 1);
		if (video.currentTime < start || this.#end - video.currentTime > MAX_BEHIND_S)
			video.currentTime = Math.max(start, this.#end - TARGET_BEHIND_S);
		video.playbackRate = this.#spare > SPARE_S ? 1.1 : 1;
		if (video.paused && !document.hidden)
			video.play().catch(() => {});
		if (ranges.start(0) < video.currentTime - 2 * KEEP_BEHIND_S) {
			this.#buffer.remove(0, video.currentTime - KEEP_BEHIND_S);
			await once(this.#buffer, "updateend", this.#signal);
		}
	}
}

async function playMse(player, base, signal) {
	const response = await request(`${base}live.mp4`, { signal });
	const type = response.headers.get("Content-Type");
	const reader = response.body.getReader();

	try {
		if (!isPlayable(type))
			throw new Refused(type);
		const buffer = new LiveBuffer(player.video, (await attachSource(player.video, signal)).addSourceBuffer(type), signal);
		for (;;) {
			const { done, value } = await reader.read();
			if (done)
				throw new Error("it ended");
			await buffer.append(value);
			await buffer.follow();
		}
	} finally {
		reader.cancel().catch(() => {});
		player.video.playbackRate = 1;
	}
}

/* The parts of a low-latency playlist, in their order: { uri, map, isIndependent }. */
function readParts(playlist) {
	const parts = [];
	let map = "";

	for (const line of playlist.split("\n")) {
		const uri = /URI="([^"]+)"/.exec(line)?.[1];
		if (line.startsWith("#EXT-X-MAP:"))
			map = uri;
		else if (line.startsWith("#EXT-X-PART:"))
			parts.push({ uri, map, isIndependent: line.includes("INDEPENDENT=YES") });
	}
	return parts;
}

/* HLS by requests that end; a browser that plays it by itself is further behind. */
async function playParts(player, base, signal) {
	const read = (name) => request(base + name, { signal });
	const codecs = /CODECS="([^"]+)"/.exec(await (await read("index.m3u8")).text())?.[1];
	const type = `video/mp4; codecs="${codecs}"`;
	if (!isPlayable(type))
		throw new Refused(type);
	const buffer = new LiveBuffer(player.video, (await attachSource(player.video, signal)).addSourceBuffer(type), signal);
	let last = null;
	for (;;) {
		const parts = readParts(await (await read("media.m3u8")).text());
		const next = parts.findIndex(({ uri }) => uri === last?.uri) + 1 || parts.findLastIndex(({ isIndependent }) => isIndependent);
		for (const part of next < 0 ? [] : parts.slice(next)) {
			if (last && part.map !== last.map)
				throw new Error("another codec");
			for (const name of last ? [part.uri] : [part.map, part.uri])
				await buffer.append(await (await read(name)).arrayBuffer());
			last = part;
		}
		await buffer.follow();
		await sleep(PARTS_MS, signal);
		signal.throwIfAborted();
	}
}

async function playHls(player, base, signal) {
	if (Source)
		return playParts(player, base, signal);
	player.video.src = `${base}index.m3u8`;
	player.video.play().catch(() => {});
	return once(player.video, "ended", signal);
}

async function playMjpeg(player, base, signal) {
	try {
		player.image.hidden = false;
		player.image.src = `${base}live.mjpeg?${Date.now()}`;
		await once(player.image, "load", signal);
		player.onPicture();
		await new Promise((resolve, reject) => {
			player.image.addEventListener("error", () => reject(new Error("it ended")), { once: true, signal });
			signal.addEventListener("abort", () => reject(signal.reason));
		});
	} finally {
		player.image.removeAttribute("src");
		player.image.hidden = true;
	}
}

const WAYS = { whep: playWhep, mse: playMse, hls: playHls, mjpeg: playMjpeg };

export class LivePlayer {
	#camera;
	#sub;
	#tell;
	#wanted = "auto";
	#refused = new Map(); // the way: until when
	#way = null;
	#started = null; // an AbortController while it runs
	#attempt = null; // the same for one attempt
	#up;
	#played = false; // in this attempt
	#presented = 0; // pictures, as the browser told

	/*
	 * `camera` is one of listCameras(); `sub`: its sub-stream, if it has one. tell({ way, state, text }) reports what goes on:
	 * state is "connecting", "playing", "offline" or "failed".
	 */
	constructor(camera, sub, label, tell) {
		this.#camera = camera;
		this.#sub = sub && camera.files.has("sub/live.mp4") ? "sub/" : "";
		this.#tell = tell;
		this.#up = camera.up;
		this.video = h("video", { playsinline: true, muted: true, autoplay: true, "aria-label": label });
		this.video.muted = true;
		if (camera.files.has("snapshot.jpg"))
			this.video.poster = `live/${camera.name}/${this.#sub}snapshot.jpg?width=640`;
		this.image = h("img", { alt: label, hidden: true });
		this.#countPresented();
	}

	get elements() {
		return [this.video, this.image];
	}

	start() {
		if (this.#started)
			return;
		this.#started = new AbortController();
		this.#run(this.#started.signal);
	}

	stop() {
		this.#started?.abort();
		this.#started = null;
	}

	/* One of TRANSPORTS, or "auto". */
	choose(wanted) {
		this.#wanted = wanted;
		this.#refused.clear();
		this.#attempt?.abort();
	}

	/* What /live/ says of the camera. */
	setUp(up) {
		if (up && !this.#up)
			this.#attempt?.abort();
		this.#up = up;
	}

	/* A picture is there for the first time in this attempt. */
	onPicture() {
		this.#played = true;
		this.#tell({ way: this.#way, state: "playing", text: this.video.videoWidth ? `${this.video.videoWidth}×${this.video.videoHeight}` : "" });
	}

	#countPresented() {
		const next = () => this.video.requestVideoFrameCallback?.(() => {
			this.#presented++;
			next();
		});

		next();
	}

	#offers(way) {
		switch (way) {
		case "whep":
			return Boolean(window.RTCPeerConnection) && this.#camera.files.has(`${this.#sub}whep`);
		case "mse":
			return Boolean(Source);
		case "hls":
			return Boolean(Source) || this.video.canPlayType("application/vnd.apple.mpegurl") !== "";
		default:
			return this.#camera.files.has("live.mjpeg") || !this.#camera.files.has("live.mp4");
		}
	}

	/* The first way that may do; null: none, for now. */
	#pick() {
		const fits = (way) => !ENDLESS.has(way) || mayBeEndless();
		if (this.#wanted !== "auto")
			return fits(this.#wanted) ? this.#wanted : "hls";
		for (const way of Object.keys(TRANSPORTS)) {
			if ((this.#refused.get(way) ?? 0) < performance.now() && this.#offers(way) && fits(way))
				return way;
		}
		return null;
	}

	async #run(signal) {
		while (!signal.aborted) {
			this.#attempt = new AbortController();
			const attempt = AbortSignal.any([signal, this.#attempt.signal]);
			if (this.#up) {
				await this.#play(attempt);
			} else {
				this.#tell({ way: null, state: "offline", text: "" });
				await sleep(60000, attempt);
			}
			await sleep(this.#attempt.signal.aborted ? 0 : RETRY_MS, signal);
		}
		this.video.removeAttribute("src");
		this.video.load();
	}

	/* One attempt. */
	async #play(signal) {
		this.#played = false;
		try {
			this.#way = this.#pick();
			if (!this.#way) {
				this.#refused.clear();
				return;
			}
			this.#tell({ way: this.#way, state: "connecting", text: "" });
			const frozen = new AbortController();
			const all = AbortSignal.any([signal, frozen.signal]);
			if (ENDLESS.has(this.#way)) {
				endless++;
				all.addEventListener("abort", () => endless--, { once: true });
			}
			await Promise.race([WAYS[this.#way](this, `live/${this.#camera.name}/${this.#sub}`, all), this.#watch(all)])
				.finally(() => frozen.abort());
		} catch (error) {
			if (!signal.aborted)
				this.#onFailure(error);
		}
	}

	#onFailure(error) {
		const isOffline = error.status === 503;

		if (!isOffline && !this.#played)
			this.#refused.set(this.#way, performance.now() + REFUSED_MS);
		this.#tell({ way: this.#way, state: isOffline ? "offline" : "failed", text: error instanceof Refused ? error.message : "" });
	}

	/* Rejects when no picture came for a while. */
	async #watch(signal) {
		// the first begins anew with each source; in Firefox it stays 0 for WebRTC
		const count = () => this.video.getVideoPlaybackQuality().totalVideoFrames + this.#presented;
		let seen = count(), since = performance.now();

		for (;;) {
			await sleep(LOOK_MS / 4, signal);
			signal.throwIfAborted();
			if (this.#way === "mjpeg")
				continue; // its pictures cannot be counted
			const shown = count();
			if (shown !== seen || document.hidden)
				since = performance.now();
			if (shown > seen && !this.#played)
				this.onPicture();
			seen = shown;
			if (performance.now() - since > (this.#played ? FROZEN_MS : FIRST_PICTURE_MS))
				throw new Error("frozen");
		}
	}
}
