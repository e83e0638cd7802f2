// Plays a camera's live.mp4 through Media Source Extensions; where there are none, HLS natively.

const RETRY_MS = 1000;
const KEEP_BEHIND_S = 20; // of what was played
const MAX_BEHIND_S = 3; // then jump to the newest picture
const TARGET_BEHIND_S = 0.7;
const FROZEN_MS = 8000; // no data for so long: start again

const Source = window.ManagedMediaSource ?? window.MediaSource;

/* Resolves when the next event of that kind comes; rejects on error. */
function once(target, event) {
	const listening = new AbortController();
	const options = { once: true, signal: listening.signal };
	const result = new Promise((resolve, reject) => {
		target.addEventListener(event, resolve, options);
		target.addEventListener("error", () => reject(new Error("the picture cannot be decoded")), options);
	});

	return result.finally(() => listening.abort());
}

export class LivePlayer {
	#video;
	#base;
	#tell;
	#stopped = false;
	#abort = null;

	/* `base` is the camera's folder; tell(text, isBad) reports the state for people. */
	constructor(video, base, tell) {
		this.#video = video;
		this.#base = base;
		this.#tell = tell;
		if (Source)
			this.#run();
		else
			this.#playNatively();
	}

	stop() {
		this.#stopped = true;
		this.#abort?.abort();
		this.#video.removeAttribute("src");
	}

	#playNatively() {
		this.#tell("HLS", false);
		this.#video.src = `${this.#base}index.m3u8`;
	}

	/* One attempt after the other, until stopped. */
	async #run() {
		while (!this.#stopped) {
			try {
				await this.#play();
			} catch (error) {
				if (!this.#stopped)
					this.#tell(error.message, true);
			}
			this.#abort?.abort();
			await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
		}
	}

	async #open() {
		this.#abort = new AbortController();
		const response = await fetch(`${this.#base}live.mp4`, { signal: this.#abort.signal, cache: "no-store" });
		if (!response.ok) {
			this.#abort.abort();
			throw new Error(response.status === 503 ? "camera offline" : `${response.status} ${response.statusText}`);
		}
		const type = response.headers.get("Content-Type");
		if (!Source.isTypeSupported(type))
			throw new Error(`this browser cannot play ${type}`);
		return { type, reader: response.body.getReader() };
	}

	async #attach(type) {
		const source = new Source();

		this.#video.disableRemotePlayback = true;
		const opened = once(source, "sourceopen");
		const url = URL.createObjectURL(source);
		this.#video.src = url;
		await opened;
		URL.revokeObjectURL(url);
		return source.addSourceBuffer(type);
	}

	async #play() {
		this.#tell("connecting…", false);
		const { type, reader } = await this.#open();
		const buffer = await this.#attach(type);

		for (;;) {
			const frozen = setTimeout(() => this.#abort.abort(), FROZEN_MS);
			const { done, value } = await reader.read().finally(() => clearTimeout(frozen));
			if (done)
				throw new Error("camera offline");
			await this.#append(buffer, () => buffer.appendBuffer(value));
			await this.#follow(buffer);
		}
	}

	async #append(buffer, change) {
		const finished = once(buffer, "updateend");
		change();
		await finished;
	}

	/* Keeps the picture near the newest one, and the memory small. */
	async #follow(buffer) {
		const video = this.#video;
		const ranges = buffer.buffered;

		if (ranges.length === 0)
			return;
		const end = ranges.end(ranges.length - 1);
		const start = ranges.start(ranges.length - 1);
		if (video.currentTime < start || end - video.currentTime > MAX_BEHIND_S)
			video.currentTime = Math.max(start, end - TARGET_BEHIND_S);
		if (video.paused && !document.hidden)
			await video.play().catch(() => {});
		if (ranges.start(0) < video.currentTime - 2 * KEEP_BEHIND_S)
			await this.#append(buffer, () => buffer.remove(0, video.currentTime - KEEP_BEHIND_S));
		this.#tell(video.videoWidth ? `${video.videoWidth}×${video.videoHeight}` : "live", false);
	}
}
