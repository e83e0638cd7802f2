// Plays an HLS playlist of recordings with hls.js in Chromium and tells as JSON what it did: node vod.mjs PAGE PLAYLIST SECONDS...
// Each of SECONDS is sought in turn, and played on from for two seconds at least.
import { fileOf, launch } from "./chromium.mjs";

const [url, playlist, ...places] = process.argv.slice(2);

const browser = await launch();
const page = await browser.newPage({ bypassCSP: true }); // the page is a listing, which allows no media
await page.goto(url); // of the same server
await page.addScriptTag({ path: fileOf("hls.js/dist/hls.min.js") });
const seen = await page.evaluate(async ([source, wanted]) => {
	const video = document.createElement("video");
	const hls = new Hls({ enableWorker: false });
	const errors = [];
	const until = async (what, condition) => {
		for (let left = 300; left > 0; left--) {
			if (condition())
				return;
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
		throw new Error(`${what}: ${video.currentTime} of ${video.duration}, ${JSON.stringify(errors)}`);
	};
	const look = () => ({ time: video.currentTime, date: hls.playingDate?.toISOString(), width: video.videoWidth });

	hls.on(Hls.Events.ERROR, (event, data) => errors.push([data.type, data.details, data.fatal]));
	video.muted = true;
	document.body.append(video);
	hls.loadSource(source);
	hls.attachMedia(video);
	await video.play();
	await until("it does not play", () => video.currentTime > 0.5 && hls.playingDate);
	const first = look();
	const sought = [];
	for (const place of wanted) {
		video.currentTime = place;
		await until(`it does not play from ${place}`, () => !video.seeking && video.currentTime > place && hls.playingDate);
		const start = look();
		await until(`it does not go on from ${place}`, () => video.currentTime > place + 2);
		sought.push({ start, end: look() });
	}
	return { first, sought, errors, duration: video.duration, levels: hls.levels.length };
}, [playlist, places.map(Number)]);
console.log(JSON.stringify(seen));
await browser.close();
