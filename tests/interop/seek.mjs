// Plays a file in Chromium's <video> from its middle and tells as JSON what that took: node seek.mjs PAGE FILE
import { launch } from "./chromium.mjs";

const [url, file] = process.argv.slice(2);

const browser = await launch();
const page = await browser.newPage({ bypassCSP: true }); // the page is a listing, which allows no media
const network = await page.context().newCDPSession(page);
const ranges = [];
let bytes = 0;
let before = null; // what had come, and been asked for, when the picture showed

await page.goto(url); // of the same server, so that the picture may be looked at
await network.send("Network.enable");
/*
 * As on a line of 100 Mbit/s. From this machine itself up to 1 MiB of each request has come before the browser knows
 * that it wants something else, which made it 1.4 to 2.9 MB for a file of 2 Mbit/s.
 */
await network.send("Network.emulateNetworkConditions", { offline: false, latency: 1, downloadThroughput: 12.5e6, uploadThroughput: -1 });
network.on("Network.requestWillBeSent", (event) => ranges.push(event.request.headers.Range ?? ""));
network.on("Network.dataReceived", (event) => (bytes += event.dataLength));
await page.exposeFunction("pictureShows", () => (before ??= { ranges: [...ranges], bytes }));
const seen = await page.evaluate(async (source) => {
	const video = document.createElement("video");
	const happens = (event) => new Promise((resolve, reject) => {
		video.addEventListener(event, resolve, { once: true });
		video.addEventListener("error", () => reject(new Error(video.error.message)), { once: true });
	});
	video.muted = true;
	video.preload = "metadata";
	video.src = source;
	document.body.append(video);
	await happens("loadedmetadata");
	const shown = new Promise((resolve) => video.requestVideoFrameCallback((now, frame) => {
		pictureShows();
		resolve(frame.mediaTime);
	}));
	const sought = happens("seeked");
	video.currentTime = video.duration / 2;
	await sought;
	const first = await shown;
	const canvas = document.createElement("canvas");
	canvas.width = 160;
	canvas.height = 90;
	const context = canvas.getContext("2d");
	context.drawImage(video, 0, 0, 160, 90);
	return { first, time: video.currentTime, duration: video.duration, width: video.videoWidth,
		bright: Math.max(...context.getImageData(0, 0, 160, 90).data.filter((value, i) => i % 4 !== 3)) };
}, file);
console.log(JSON.stringify({ ...seen, ...before }));
await browser.close();
