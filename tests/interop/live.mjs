// Plays a live HLS playlist with hls.js in Chromium and tells as JSON how far behind the source it is: node live.mjs PAGE PLAYLIST SECONDS
// By the date that the playlist gives, and by the clock in the test camera's picture, both against this machine's clock.
import { fileOf, launch } from "./chromium.mjs";

const [url, playlist, seconds] = process.argv.slice(2);

const browser = await launch();
const page = await browser.newPage({ bypassCSP: true });
await page.goto(`${url}live/`); // a page of the same server that plays nothing itself
await page.addScriptTag({ path: fileOf("hls.js/dist/hls.min.js") });
const seen = await page.evaluate(async ([source, duration]) => {
	const video = document.createElement("video");
	const hls = new Hls({ enableWorker: false, lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.2 });
	const errors = [];
	const looks = [];
	let parts = 0;
	// As in server/media/test_source_picture.c: rows from the top, the leftmost column in bit 4.
	const glyphs = { "0": "0e11131519110e", "1": "040c040404040e", "2": "0e11010204081f", "3": "1f02040201110e", "4": "02060a121f0202", "5": "1f101e0101110e",
		"6": "0608101e11110e", "7": "1f010204080808", "8": "0e11110e11110e", "9": "0e11110f01020c", ":": "000c0c000c0c00", ".": "00000000000c0c" };
	const characters = new Map(Object.entries(glyphs).map(([character, rows]) => [rows, character]));
	const canvas = document.createElement("canvas");
	canvas.width = 256;
	canvas.height = 28;
	const context = canvas.getContext("2d", { willReadFrequently: true });
	const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

	/* The clock in the picture as milliseconds of today, or null where it cannot be read. */
	const readClock = () => {
		let text = "";
		context.drawImage(video, 16, 256, 256, 28, 0, 0, 256, 28);
		const { data } = context.getImageData(0, 0, 256, 28);
		for (let at = 0; at < 10; at++) {
			let rows = "";
			for (let row = 0; row < 7; row++) {
				let bits = 0;
				for (let column = 0; column < 5; column++)
					bits = bits * 2 + (data[((row * 4 + 2) * 256 + at * 24 + column * 4 + 2) * 4] > 128 ? 1 : 0);
				rows += bits.toString(16).padStart(2, "0");
			}
			text += characters.get(rows) ?? "?";
		}
		const found = /^(\d\d):(\d\d):(\d\d\.\d)$/.exec(text);
		return found ? ((+found[1] * 60 + +found[2]) * 60 + +found[3]) : null;
	};
	const ofToday = (date) => (date.getHours() * 60 + date.getMinutes()) * 60 + date.getSeconds() + date.getMilliseconds() / 1000;
	const look = () => {
		const now = new Date();
		const clock = readClock();
		return { date: hls.playingDate ? Math.round(now - hls.playingDate) / 1000 : null,
			clock: clock === null ? null : Math.round(((ofToday(now) - clock + 86400) % 86400) * 1000) / 1000, latency: hls.latency };
	};

	hls.on(Hls.Events.ERROR, (event, data) => errors.push([data.type, data.details, data.fatal]));
	hls.on(Hls.Events.FRAG_LOADED, (event, data) => { parts += data.part ? 1 : 0; });
	video.muted = true;
	document.body.append(video);
	hls.loadSource(source);
	hls.attachMedia(video);
	await video.play();
	for (let left = 200; left > 0 && !(video.currentTime > 0 && hls.playingDate); left--)
		await pause(50);
	await pause(3000);
	for (const end = performance.now() + duration * 1000; performance.now() < end; await pause(250))
		looks.push(look());
	return { looks, errors, parts, lowLatency: hls.lowLatencyMode, target: hls.targetLatency };
}, [playlist, Number(seconds)]);
console.log(JSON.stringify(seen));
await browser.close();
