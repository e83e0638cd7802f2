// Watches live pictures on the page in Firefox; a line of JSON for each thing that has to hold. The job is on stdin (test_firefox.py).
import { readFileSync } from "node:fs";
import { behind, holds, launch, waitFor } from "./chromium.mjs";

const job = JSON.parse(readFileSync(0));
const BEHIND_S = 3;
const browser = await launch(job);
const complaints = [];

async function open(camera) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, timezoneId: job.zone });
	const page = await context.newPage();

	page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
	await page.goto(`${job.url}#live/${camera}`);
	return page;
}

const shown = (page) => page.$eval("video", (video) => video.mozPaintedFrames); // its playback quality says nothing of WebRTC

/* How a picture comes, once it moves. */
async function playing(page) {
	const way = await waitFor(page, () => page.$eval(".picture", ({ dataset }) => dataset.state === "playing" && dataset.way), 60);
	const before = await shown(page);

	return await waitFor(page, async () => await shown(page) > before + 20) && way;
}

/* That there is sound which is not muted, and that the picture goes on with it; to hear it takes a sound card. */
async function checkSound(page, name) {
	await page.keyboard.press("m");
	const hasSound = () => page.$eval("video", (video) => !video.muted && !video.paused && (video.srcObject ? video.srcObject.getAudioTracks().some((track) => !track.muted) : video.mozHasAudio));
	holds(await waitFor(page, hasSound) && await playing(page), `${name}: it plays with its sound`);
}

/* Without its plugin Firefox does not offer H.264; with it there is no way for WebRTC, as it does not use the loopback interface. */
async function checkH264() {
	const page = await open("demo");
	const way = await playing(page);
	const said = await page.$eval(".transport", ({ options }) => options[0].textContent);

	holds(way === "mse", "H.264: where WebRTC will not do, the page takes MSE by itself", way);
	holds(said === "Auto: MSE", "and says so", said);
	const now = await waitFor(page, async () => { const one = await behind(page, job.offset); return one !== null && one < BEHIND_S && { one }; });
	holds(now, `H.264: less than ${BEHIND_S} s behind`, await behind(page, job.offset));
	const snapshot = await page.evaluate((source) => new Promise((resolve) => {
		const image = new Image();
		image.onload = () => resolve(image.naturalWidth);
		image.onerror = () => resolve(0);
		image.src = source;
	}), "live/demo/snapshot.jpg?width=320");
	holds(snapshot === 320, "the snapshot is a picture", snapshot);
	await checkSound(page, "H.264 with AAC");
	await page.context().close();
}

async function checkAv1() {
	const page = await open("av1");

	await page.waitForSelector("form.login");
	await page.fill("[name=user]", "anna");
	await page.fill("[name=password]", "secret");
	await page.press("[name=password]", "Enter");
	const way = await playing(page);
	holds(way === "whep", "AV1: by WebRTC", way);
	await checkSound(page, "AV1 with Opus");
	await page.context().close();
}

try {
	await { demo: checkH264, av1: checkAv1 }[job.camera]();
	holds(complaints.length === 0, `${job.camera}: the console is silent`, complaints);
} catch (error) {
	holds(false, "live pictures can be watched", error.stack);
}
await browser.close();
