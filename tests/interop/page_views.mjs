// Uses the page as a person would; a line of JSON for each thing that has to hold. The job is on stdin (page_job.py).
import { copyFileSync, readdirSync, readFileSync, statSync } from "node:fs";
import { checkAccess as checkPage, holds, launch, look as lookAt, waitFor } from "./chromium.mjs";

const job = JSON.parse(readFileSync(0));
const DAY = 86400000;
const WIRE_LIMIT = 120000;

const isFirefox = job.browser === "firefox";
const browser = await launch(job);
const complaints = [];
let page;

/* Opens a page of its own: nothing is remembered from another one. */
async function open(hash, options = {}) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "dark", locale: "en-GB", timezoneId: job.zone, ...options });

	page = await context.newPage();
	page.on("pageerror", (error) => complaints.push(String(error)));
	page.on("console", (message) => {
		const { url } = message.location();
		const isThumbnail = url.includes(".jpg?width=160"); // there may be none
		const isGone = url.includes("/live/") && message.text().includes("503"); // a test source may fail on a busy machine
		if (["error", "warning"].includes(message.type()) && !isThumbnail && !isGone)
			complaints.push(`${message.text()} ${message.location().url}`);
	});
	await page.goto(job.url + hash);
	return context;
}

async function until(ask, what, seconds = 30) {
	const seen = await waitFor(page, ask, seconds);

	if (seen)
		return seen;
	holds(false, `${what}: waited ${seconds} s`, { state: await states().catch(String), complaints });
	throw new Error(`waited in vain: ${what}`);
}

const states = () => page.$$eval(".picture", (all) => all.map((one) => [one.parentElement.dataset.camera, one.dataset.state, one.dataset.way, one.textContent]));

const look = (n = 0) => lookAt(page, n);
const screenshot = (name) => job.shots && page.screenshot({ path: `${job.shots}/${name}.png` });

const checkAccess = (name) => checkPage(page, name);
const playing = (count) => until(async () => (await states()).filter(([, state]) => state === "playing").length >= count, `${count} pictures play`);

/* --- live --- */

async function checkGrid() {
	const requests = [];
	const context = await open("");
	page.on("request", (request) => requests.push(new URL(request.url()).pathname));
	await page.reload();
	await playing(4);
	for (let n = 0, found = 0; found < 4 && n < 5; n++) {
		const first = await look(n);
		if (!first)
			continue; // the camera that is not there
		found++;
		await until(async () => ((await look(n))?.counter ?? 0) > first.counter, `picture ${n} moves`);
		holds(true, `grid: picture ${n} moves`);
	}
	holds(requests.includes("/live/porch/sub/live.mp4") || requests.includes("/live/porch/sub/whep"), "grid: it plays the sub-stream where there is one", requests);
	const offline = (await states()).find(([camera]) => camera === "cellar");
	holds(/Offline · connection refused/.test(offline?.[3]), "grid: a camera that is not there tells why", offline);
	await screenshot("grid");
	await checkAccess("the grid");
	const first = await page.$eval(".tile", (tile) => tile.dataset.camera);
	await page.focus(".tile .open");
	await page.keyboard.press("Shift+ArrowRight");
	await page.reload();
	await playing(4);
	const order = await page.$$eval(".tile", (tiles) => tiles.map((tile) => tile.dataset.camera));
	holds(order[1] === first, "grid: the order that was chosen is kept", order);
	await page.selectOption("[aria-label=Layout]", "1");
	holds((await page.$$eval(".tile", (tiles) => tiles.length)) === 1, "grid: 1×1 has one picture");
	await page.selectOption("[aria-label=Layout]", "auto");
	holds((await page.$$eval(".tile", (tiles) => tiles.length)) === 5, "grid: and all of them again");
	await context.close();
}

async function checkWire() {
	const context = await browser.newContext();
	page = await context.newPage();
	const network = await context.newCDPSession(page);
	const assets = new Map();
	let bytes = 0;

	await network.send("Network.enable");
	network.on("Network.responseReceived", ({ requestId, response }) => {
		const path = new URL(response.url).pathname;
		if (!/^\/(live|recordings|metrics)/.test(path))
			assets.set(requestId, path);
	});
	network.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => (bytes += assets.has(requestId) ? encodedDataLength : 0));
	await page.goto(job.url);
	await playing(1);
	holds(bytes > 1000 && bytes < WIRE_LIMIT, `the page has ${bytes} bytes over the wire, in ${assets.size} files`, [...assets.values()]);
	await context.close();
}

async function checkStage() {
	const context = await open("");
	await playing(4);
	const requests = [];
	page.on("request", (request) => requests.push(new URL(request.url()).pathname));
	await page.focus('.open[data-camera="porch"]');
	await page.keyboard.press("Enter");
	await until(async () => (await page.$(".stage")) && (await look()), "one camera alone");
	holds(requests.some((path) => ["/live/porch/live.mp4", "/live/porch/whep"].includes(path)), "stage: it plays the main stream", requests);
	await page.keyboard.press("f");
	await until(() => page.evaluate(() => Boolean(document.fullscreenElement)), "full screen");
	holds(true, "stage: f is full screen");
	await page.keyboard.press("f");
	await until(() => page.evaluate(() => !document.fullscreenElement), "no full screen");
	await screenshot("stage");
	await checkAccess("the single picture");
	await checkTransports();
	await checkSound();
	await checkFreezing();
	await page.keyboard.press("Escape");
	await until(() => page.$(".grid"), "the grid again");
	await context.close();
}

async function checkTransports() {
	for (const way of ["mse", "hls", "mse"]) {
		await page.selectOption(".transport", way);
		await until(async () => (await states())[0].slice(1, 3).join() === `playing,${way}`, `playing by ${way}`);
		const first = await until(() => look(), "a picture");
		await until(async () => ((await look())?.counter ?? 0) > first.counter, `moving by ${way}`);
		holds(true, `transport: ${way}, when it is chosen`);
	}
	await page.reload();
	await playing(1);
	holds((await states())[0][2] === "mse" && await page.inputValue(".transport") === "mse", "transport: the choice is kept");
	await page.selectOption(".transport", "auto");
	await playing(1);
}

async function checkSound() {
	const sound = () => page.$eval("video", (video) => ({ muted: video.muted, volume: video.volume }));

	holds((await sound()).muted, "sound: it is off at first");
	await page.click(".stage .sound");
	await page.fill(".volume", "0.5");
	await page.reload();
	await playing(1);
	await page.mouse.click(5, 400);
	await until(async () => !(await sound()).muted, "the sound is on again");
	holds((await sound()).volume === 0.5, "sound: the volume is kept", await sound());
}

/* The server stands still, and goes on. */
async function checkFreezing() {
	process.kill(job.pid, "SIGSTOP");
	try {
		await until(async () => (await states())[0][1] !== "playing", "the page sees that the picture froze", 40);
	} finally {
		process.kill(job.pid, "SIGCONT");
	}
	await playing(1);
	const first = await until(() => look(), "a picture");
	await until(async () => ((await look())?.counter ?? 0) > first.counter, "it moves again");
	holds(true, "a picture that froze comes back");
}

/* --- recordings --- */

const dayOf = (ms) => ms - ((ms + job.offset) % DAY);
const clockOf = (ms) => ((ms + job.offset) % DAY) / 1000;

/* Clicks into the timeline, at a part of its width; returns the instant that the page took it for. */
async function clickPart(part) {
	const box = await page.locator(".timeline canvas").boundingBox();

	await page.mouse.click(box.x + part * box.width, box.y + box.height / 2);
	const parts = /(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)([\d.]+)Z$/.exec(await page.evaluate(() => location.hash));
	return Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}Z`);
}

/* What the timeline shows, as two clicks tell. */
async function shown() {
	const [a, b] = [await clickPart(0.1), await clickPart(0.9)];

	return { left: a - (b - a) / 8, right: b + (b - a) / 8 };
}

/* Zooms in by the wheel around an instant until so much is shown at most, and moves it to the middle. */
async function zoomTo(around, most) {
	const box = await page.locator(".timeline canvas").boundingBox();
	let view = await shown();

	while (view.right - view.left > most) {
		await page.mouse.move(box.x + (around - view.left) / (view.right - view.left) * box.width, box.y + box.height / 2);
		await page.mouse.wheel(0, -200);
		await page.waitForTimeout(100);
		view = await shown();
	}
	await page.mouse.wheel(Math.round((around - (view.left + view.right) / 2) / (view.right - view.left) * box.width), 0);
	await page.waitForTimeout(100);
	return shown();
}

const clickAt = (view, instant) => clickPart((instant - view.left) / (view.right - view.left));

async function checkInstants(view) {
	const took = [], wrong = [];

	for (let k = 0; k < 20; k++) {
		const { start, end } = job.runs[k % 2];
		const wanted = start + (end - start) * (0.05 + 0.9 * ((k * 7) % 20) / 20);
		const clicked = await clickAt(view, wanted);
		const began = Date.now();
		if (Math.abs(clicked - wanted) > 2 * (view.right - view.left) / 1200)
			wrong.push(["not there", clicked - wanted]);
		const right = (seen) => seen && clockOf(clicked) - seen.clock > -0.15 && clockOf(clicked) - seen.clock < 0.6; // a busy source leaves pictures out
		await until(async () => right(await look()), `the picture of ${new Date(clicked).toISOString()}`).catch(async () => wrong.push([new Date(clicked).toISOString(), await look()]));
		took.push(Date.now() - began);
	}
	console.log(JSON.stringify({ note: `20 clicks: ${Math.max(...took)} ms at most, ${took.sort((a, b) => a - b)[10]} ms in the middle until the picture was there` }));
	holds(wrong.length === 0, "timeline: 20 clicks show the picture of that instant", wrong);
	const gap = (job.runs[0].end + job.runs[1].start) / 2;
	await clickAt(view, gap);
	await until(async () => Math.abs((await look())?.clock - clockOf(job.runs[1].start)) < 0.3, "the first picture behind the gap");
	holds(true, "timeline: in a gap, the first picture behind it");
}

/* Presses a key; returns what was seen before and then. */
async function stepBy(key) {
	const before = await until(() => look(), "a picture");
	await page.keyboard.press(key);
	const after = await until(async () => {
		const seen = await look();
		return seen && seen.counter !== before.counter ? seen : null;
	}, "another picture");
	return [before, after];
}

const isNeighbour = (before, after, by) => job.counters.includes(before.counter) && after.counter === job.counters[job.counters.indexOf(before.counter) + by];

async function checkSteps(view) {
	await clickAt(view, job.runs[0].start + 3000);
	await until(async () => Math.abs((await look())?.clock - clockOf(job.runs[0].start + 3000)) < 0.3, "a picture");
	for (const [key, by] of [[".", 1], [".", 1], [",", -1]]) {
		const [before, after] = await stepBy(key);
		holds(isNeighbour(before, after, by), `step: ${by > 0 ? "one picture on" : "one picture back"}`, [before, after]);
	}
	await clickAt(view, job.held - 200);
	await until(async () => Math.abs((await look())?.clock - clockOf(job.held - 200)) < 0.3, "a picture");
	const steps = [];
	while (steps.length < 30 && !steps.some(([before, after]) => after.clock - before.clock > 0.3))
		steps.push(await stepBy("."));
	holds(steps.length < 30 && steps.every(([before, after]) => isNeighbour(before, after, 1)), "step: over a picture that lasts long", steps);
}

/* From before a gap over it, and on to another codec. */
async function checkGoingOn(view) {
	await clickAt(view, job.runs[0].end - 1500);
	await page.selectOption("[aria-label=Speed]", "4");
	await page.click('[aria-label="Play"]');
	await until(async () => (await look())?.clock > clockOf(job.runs[1].start), "it plays over the gap");
	holds(await page.$eval("video", (video) => video.playbackRate) === 4, "playing: four times as fast, over a gap");
	await page.selectOption("[aria-label=Speed]", "1");
	await clickAt(view, job.runs[1].end - 1000);
	await until(() => page.$eval("video", (video) => video.videoWidth === 320 && video.currentTime > 0 && !video.paused), "it plays on with another codec");
	const said = () => page.$eval(".timeline canvas", (canvas) => 1000 * Number(canvas.getAttribute("aria-valuenow")));
	await until(async () => await said() >= job.runs[2].start - 1000, "the timeline follows");
	holds(await said() <= job.runs[2].end + 1000, "playing: on to a recording of another codec", [await said(), job.runs]);
}

/* Clicks at what downloads the clip, and waits for the file. */
async function saveClip() {
	if (isFirefox) {
		await page.click(".clip a");
		const [name] = await until(() => { // one that grows has another beside it
			const names = readdirSync(job.downloads);
			return names.length === 1 && statSync(`${job.downloads}/${names[0]}`).size > 0 && names;
		}, "the download");
		copyFileSync(`${job.downloads}/${name}`, job.clip);
	} else {
		const [download] = await Promise.all([page.waitForEvent("download"), page.click(".clip a")]);
		await download.saveAs(job.clip);
	}
}

async function checkClip(view) {
	const from = Math.ceil(job.runs[0].start / 1000) * 1000 + 2000, to = from + 4000;
	const name = (ms) => new Date(ms).toISOString().replace(/[-:]|\.000/g, "");
	const time = (ms) => new Date(ms + job.offset).toISOString().slice(11, 19);

	await clickAt(view, from);
	await page.keyboard.press("c");
	await screenshot("clip");
	await checkAccess("recordings with a clip");
	for (const [label, ms] of [["Start of the clip", from], ["End of the clip", to]])
		await page.fill(`[aria-label="${label}"]`, time(ms));
	await until(async () => (await page.getAttribute(".clip a", "href"))?.endsWith(`/${name(from)}--${name(to)}.mp4`), "the clip's address");
	await saveClip();
	console.log(JSON.stringify({ clip: { from, to } }));
	await page.keyboard.press("c");
}

async function checkRecordings() {
	const context = await open("#recordings/porch");
	const first = job.runs[0].start, last = job.runs[2].end, middle = (first + last) / 2;
	await until(() => page.$eval("video", (video) => video.readyState > 1), "the newest recording");
	await page.click(".date");
	const days = await page.$$eval(".calendar-days button:not(:disabled)", (all) => all.map((one) => one.getAttribute("aria-label")));
	holds(days.length === 1 && days[0].includes(String(new Date(first + job.offset).getUTCDate())), "calendar: the day that has recordings", days);
	await screenshot("recordings");
	await page.click(".date");
	await page.keyboard.press("k"); // it stands
	const day = await shown();
	holds(Math.abs(day.left - dayOf(first)) < 200000 && Math.abs(day.right - dayOf(first) - DAY) < 200000, "timeline: it shows the whole day", day);
	const view = await zoomTo(middle, (last - first) * 2);
	await clickAt(view, middle);
	await page.mouse.move(0, 0);
	await screenshot("timeline");
	const painted = await page.evaluate(([runs, left, right]) => {
		const timeline = document.querySelector(".timeline canvas");
		const canvas = document.createElement("canvas");
		[canvas.width, canvas.height] = [timeline.width, timeline.height];
		const context = canvas.getContext("2d", { willReadFrequently: true });
		context.drawImage(timeline, 0, 0);
		const at = (ms) => [...context.getImageData((ms - left) / (right - left) * canvas.width, canvas.height * 0.6, 1, 1).data].join();
		return { recorded: runs.map((run) => at((run.start + run.end) / 2)), gaps: [at((runs[0].end + runs[1].start) / 2), at((runs[1].end + runs[2].start) / 2)] };
	}, [job.runs, view.left, view.right]);
	holds(new Set(painted.recorded).size === 1 && new Set(painted.gaps).size === 1 && painted.recorded[0] !== painted.gaps[0], "timeline: what is recorded and what is not look different", painted);
	await checkInstants(view);
	await checkSteps(view);
	await checkGoingOn(view);
	await page.click('[aria-label="Pause"]');
	await checkClip(view);
	await context.close();
}

/* --- the rest --- */

async function checkSystem() {
	let context = await open("#system");

	await until(() => page.$(".system table"), "the numbers");
	const text = await page.textContent(".system");
	holds(text.includes(job.store) && text.includes("connection refused"), "system: storage and cameras, with names as they are", text);
	await screenshot("system");
	await checkAccess("the system view");
	const before = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
	await page.click(".theme");
	await page.click(".theme");
	const after = await page.evaluate(() => [document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]);
	holds(after[0] === "light" && after[1] !== before, "light and dark can be chosen", [before, after]);
	await checkAccess("the light system view");
	await page.selectOption("[aria-label=Language]", "zh");
	await until(() => page.$eval("html", (html) => html.lang === "zh"), "Chinese");
	holds((await page.textContent("nav")).includes("实时"), "it speaks Chinese");
	await page.goto(`${job.url}uploads/porch/`);
	holds((await page.content()).includes("onerror") && !await page.evaluate(() => window.hacked), "a script in an uploaded file's name does not run");
	await context.close();
	context = await open("", { locale: "zh-CN", colorScheme: "light" });
	await playing(4);
	holds(await page.$eval("html", (html) => html.lang === "zh"), "it speaks what the browser speaks");
	await screenshot("grid-light-zh");
	await checkAccess("the light grid");
	await context.close();
}

async function checkPhone() {
	for (const [hash, name, scheme, locale] of [["", "live", "dark", "zh-CN"], ["#live/porch", "stage", "dark", "en-GB"], ["#recordings/porch", "recordings", "light", "en-GB"], ["#system", "system", "dark", "en-GB"]]) {
		const context = await open(hash, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, colorScheme: scheme, locale });
		await until(() => page.$eval(".tile, .stage, .recorded, .system .card", () => true).catch(() => false), name);
		if (name !== "system")
			await until(() => page.$eval("video", () => [...document.querySelectorAll("video")].some((video) => video.readyState > 1)), `${name} on a phone`);
		await page.waitForTimeout(500);
		const { wide, small, bar } = await page.evaluate(() => ({
			wide: document.documentElement.scrollWidth > innerWidth,
			small: [...document.querySelectorAll("button, nav a, select")].filter((one) => one.offsetParent && !one.disabled && one.offsetHeight < 40).map((one) => one.outerHTML.slice(0, 100)),
			bar: document.querySelector("nav").getBoundingClientRect().bottom === innerHeight,
		}));
		holds(!wide && small.length === 0 && bar, `phone: ${name} fits, its targets are large, the bar is at the bottom`, { wide, small, bar });
		await screenshot(`phone-${name}`);
		await checkAccess(`${name} on a phone`);
		await context.close();
	}
}

try {
	if (!isFirefox) // which does not tell how many bytes it reads
		await checkWire();
	await checkGrid();
	await checkStage();
	await checkRecordings();
	await checkSystem();
	await checkPhone();
	holds(complaints.length === 0, "the console is silent", complaints);
} catch (error) {
	holds(false, `the page can be used`, `${error.stack} ${JSON.stringify(complaints)}`);
}
await browser.close();
