// Chromium or Firefox for the tests, and what they ask of a page.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { launchFirefox } from "./firefox.mjs";

const require = createRequire(import.meta.url); // finds them in NODE_PATH
const { chromium } = require("playwright-core");

/* The digits of server/media/test_source_picture.c, rows from the top, the leftmost column in bit 4. */
const GLYPHS = {
	0: [14, 17, 19, 21, 25, 17, 14], 1: [4, 12, 4, 4, 4, 4, 14], 2: [14, 17, 1, 2, 4, 8, 31], 3: [31, 2, 4, 2, 1, 17, 14],
	4: [2, 6, 10, 18, 31, 2, 2], 5: [31, 16, 30, 1, 1, 17, 14], 6: [6, 8, 16, 30, 17, 17, 14], 7: [31, 1, 2, 4, 8, 8, 8],
	8: [14, 17, 17, 14, 17, 17, 14], 9: [14, 17, 17, 15, 1, 2, 12], ":": [0, 12, 12, 0, 12, 12, 0], ".": [0, 0, 0, 0, 0, 12, 12],
};

export const fileOf = (name) => require.resolve(name); // of a package

const launchChromium = () => chromium.launch({
	executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
	args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"],
});

/* `job`: { browser, downloads }; Chromium, unless it says "firefox", and downloads are for that alone. */
export const launch = async (job = {}) => (job.browser === "firefox" ? launchFirefox(job.downloads) : launchChromium());

/* A line of JSON for what has to hold. */
export function holds(condition, name, detail) {
	console.log(JSON.stringify({ holds: Boolean(condition), name, detail: condition ? "" : JSON.stringify(detail) ?? "" }));
	return Boolean(condition);
}

/* Asks until what comes is true; null when it does not in time. The page's policy forbids waitForFunction's eval. */
export async function waitFor(page, ask, seconds = 30) {
	for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
		const seen = await Promise.resolve(ask()).catch(() => null); // the page may just be on its way
		if (seen)
			return seen;
		await page.waitForTimeout(50);
	}
	return null;
}

/* What the nth video shows of a test picture: its clock in seconds of the day, and its counter; null when it cannot be read. */
export function look(page, n = 0) {
	return page.evaluate(([nth, glyphs]) => {
		const video = document.querySelectorAll("video")[nth];
		const canvas = document.createElement("canvas");
		const context = canvas.getContext("2d", { willReadFrequently: true });
		[canvas.width, canvas.height] = [640, 360];
		context.drawImage(video, 0, 0, 640, 360);
		const pixels = context.getImageData(0, 256, 640, 28).data;
		const isLight = (x, y) => pixels[(y * 640 + x) * 4] > 128;
		const read = (x, count) => Array.from({ length: count }, (_, i) => {
			const rows = Array.from({ length: 7 }, (__, y) => Array.from({ length: 5 }, (___, c) => isLight(x + i * 24 + c * 4 + 2, y * 4 + 2))
				.reduce((bits, light) => bits * 2 + light, 0));
			return Object.keys(glyphs).find((name) => glyphs[name].every((row, y) => row === rows[y])) ?? "?";
		}).join("");
		const clock = /^(\d\d):(\d\d):(\d\d\.\d)$/.exec(read(16, 10));
		const counter = read(456, 7);
		return clock && /^\d{7}$/.test(counter) ? { clock: clock[1] * 3600 + clock[2] * 60 + Number(clock[3]), counter: Number(counter), width: video.videoWidth } : null;
	}, [n, GLYPHS]);
}

const DAY_S = 86400;

/* How far the picture of a page is behind this machine's clock, in seconds; `offset` (ms) is that of its zone. null: it cannot be read. */
export async function behind(page, offset) {
	const now = (Date.now() + offset) / 1000 % DAY_S;
	const seen = await look(page);

	return seen && (now - seen.clock + DAY_S * 1.5) % DAY_S - DAY_S / 2;
}

/* What axe-core finds to be serious. */
export async function checkAccess(page, name) {
	await page.evaluate(readFileSync(fileOf("axe-core/axe.min.js"), "utf8"));
	const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
	const serious = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));

	holds(serious.length === 0, `axe-core finds nothing serious in ${name}`, serious.map((one) => [one.id, one.nodes.map((node) => [node.html, node.failureSummary])]));
}
