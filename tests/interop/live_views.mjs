// Watches live pictures on the page in Chromium; a line of JSON for each thing that has to hold. The job is on stdin (test_live_page.py).
import { readFileSync } from "node:fs";
import { behind as behindBy, holds, launch, waitFor } from "./chromium.mjs";

const job = JSON.parse(readFileSync(0));
const BUFFER_S = 40; // what live_player.js may keep of what was played, and what is to come
const browser = await launch();

async function open(hash) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, timezoneId: job.zone });
	const page = await context.newPage();

	await page.addInitScript((names) => localStorage.setItem("nvrd.transport", JSON.stringify(Object.fromEntries(names.map((name) => [name, "mse"])))), job.names);
	await page.goto(job.url + hash);
	return page;
}

const behind = (page) => behindBy(page, job.offset);
const median = (figures) => figures.sort((a, b) => a - b)[figures.length >> 1];

async function checkBehind() {
	const page = await open("#live/clock");
	const delays = [], buffered = [];

	await waitFor(page, () => behind(page));
	await waitFor(page, async () => await behind(page) < 1);
	for (const end = Date.now() + job.seconds * 1000; Date.now() < end; await page.waitForTimeout(250)) {
		delays.push(await behind(page));
		buffered.push(await page.$eval("video", ({ buffered: ranges }) => Array.from({ length: ranges.length }, (_, i) => ranges.end(i) - ranges.start(i)).reduce((a, b) => a + b, 0)));
	}
	const read = delays.filter((one) => one !== null);
	holds(read.length > delays.length / 2 && median(read) < 1, "live.mp4 by MSE: under a second behind", [median(read), read.length, delays.length]);
	holds(Math.max(...buffered) < BUFFER_S, "live.mp4 by MSE: the buffer does not grow", buffered);
	console.log(JSON.stringify({ note: `${job.seconds} s: ${median(read).toFixed(1)} s behind in the middle, ${Math.max(...read).toFixed(1)} s at most; ${Math.max(...buffered).toFixed(0)} s were buffered at most` }));
	process.kill(job.pid, "SIGSTOP");
	await page.waitForTimeout(3000); // the stall itself
	process.kill(job.pid, "SIGCONT");
	holds(await waitFor(page, async () => { const now = await behind(page); return now !== null && now < 1; }), "live.mp4 by MSE: under a second behind again after a stall");
	await page.context().close();
}

/* How many pictures each video showed so far. */
const progress = (page) => page.$$eval("video", (all) => all.map((video) => {
	const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();

	return totalVideoFrames - droppedVideoFrames;
}));

async function checkSixteen() {
	const page = await open("");

	await page.selectOption("[aria-label=Layout]", "4");
	holds(await waitFor(page, async () => (await progress(page)).filter((shown) => shown > 25).length === 16, 60), "sixteen pictures play in the grid");
	const before = await progress(page), began = Date.now();
	await page.waitForTimeout(8000); // what is looked at
	const after = await progress(page), seconds = (Date.now() - began) / 1000;
	const shown = after.map((one, i) => (one - before[i]) / seconds);
	holds(Math.min(...shown) > 0.5 * job.fps && median([...shown]) > 0.7 * job.fps, "sixteen pictures: they run smoothly", shown);
	console.log(JSON.stringify({ note: `16 sub-streams of ${job.fps} pictures a second: ${Math.min(...shown).toFixed(1)} at least and ${median(shown).toFixed(1)} in the middle were shown` }));
	await page.context().close();
}

try {
	await checkBehind();
	await checkSixteen();
} catch (error) {
	holds(false, "live pictures can be watched", error.stack);
}
await browser.close();
