// Plays a live stream in Chromium until its sound is heard, and tells as JSON what came: node sound.mjs PAGE PATH
// A playlist by hls.js, live.mp4 by Media Source Extensions.
import { fileOf, launch } from "./chromium.mjs";

const [url, path] = process.argv.slice(2);

const browser = await launch();
const page = await browser.newPage({ bypassCSP: true });
await page.goto(`${url}live/`); // a page of the same server that plays nothing itself
await page.addScriptTag({ path: fileOf("hls.js/dist/hls.min.js") });
const seen = await page.evaluate(async (source) => {
	const video = document.body.appendChild(document.createElement("video"));
	const errors = [];
	const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

	function playList() {
		const hls = new Hls({ enableWorker: false, lowLatencyMode: true });
		hls.on(Hls.Events.ERROR, (event, data) => { if (data.fatal) errors.push([data.type, data.details]); });
		hls.loadSource(source);
		hls.attachMedia(video);
	}

	async function playMp4() {
		const media = new MediaSource();
		video.src = URL.createObjectURL(media);
		await new Promise((resolve) => media.addEventListener("sourceopen", resolve, { once: true }));
		const answer = await fetch(source);
		const buffer = media.addSourceBuffer(answer.headers.get("Content-Type"));
		const reader = answer.body.getReader();
		for (;;) {
			const { done, value } = await reader.read();
			if (done)
				break;
			buffer.appendBuffer(value);
			await new Promise((resolve) => buffer.addEventListener("updateend", resolve, { once: true }));
			if (buffer.buffered.length && video.currentTime < buffer.buffered.start(0))
				video.currentTime = buffer.buffered.start(0);
		}
	}

	if (source.endsWith(".m3u8"))
		playList();
	else
		playMp4().catch((error) => errors.push(String(error)));
	const context = new AudioContext();
	const analyser = context.createAnalyser();
	context.createMediaElementSource(video).connect(analyser);
	analyser.connect(context.destination);
	video.play().catch((error) => errors.push(String(error)));
	const samples = new Float32Array(analyser.fftSize);
	let loudest = 0;
	const holds = () => video.currentTime > 0 && video.webkitDecodedFrameCount > 100 && video.webkitAudioDecodedByteCount > 5000 && loudest > 0.05;
	for (let left = 500; left > 0 && !holds(); left--) {
		await pause(40);
		analyser.getFloatTimeDomainData(samples);
		loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), loudest);
	}
	return { errors, time: video.currentTime, frames: video.webkitDecodedFrameCount, bytes: video.webkitAudioDecodedByteCount, loudest };
}, path);
console.log(JSON.stringify(seen));
await browser.close();
