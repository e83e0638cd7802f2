// Opens the page in Chromium and tells as JSON what a person would see of its first picture: node page.mjs URL
import { launch } from "./chromium.mjs";

const [given] = process.argv.slice(2);
const url = new URL(given);
const credentials = { username: url.username, password: url.password };
url.username = url.password = "";

const browser = await launch();
const page = await browser.newPage({ viewport: { width: 1100, height: 800 }, ignoreHTTPSErrors: true });
const messages = [];

page.on("console", (message) => ["error", "warning"].includes(message.type()) && messages.push(message.text()));
page.on("pageerror", (error) => messages.push(String(error)));

/* The picture as a short hash, and where the player stands. */
const look = () => page.evaluate(() => {
	const video = document.querySelector("video");
	const canvas = document.createElement("canvas");
	canvas.width = 160;
	canvas.height = 90;
	const context = canvas.getContext("2d");
	context.drawImage(video, 0, 0, 160, 90);
	const pixels = context.getImageData(0, 0, 160, 90).data;
	let hash = 0;
	let bright = 0;
	for (const value of pixels) {
		hash = (hash * 31 + value) | 0;
		bright = Math.max(bright, value);
	}
	return { hash, bright, time: video.currentTime, width: video.videoWidth };
});

/* Looks until the picture has played past that time; the page's policy forbids waitForFunction's eval. */
async function lookPast(time) {
	for (let left = 200; left > 0; left--) {
		const seen = await look().catch(() => null);
		if (seen && seen.time > time)
			return seen;
		await page.waitForTimeout(100);
	}
	throw new Error(`the picture never played past ${time} s: ${messages.join("; ")}`);
}

await page.goto(url.href);
if (credentials.username) {
	await page.fill("[name=user]", credentials.username);
	await page.fill("[name=password]", credentials.password);
	messages.length = 0; // that somebody has to log in
	await page.press("[name=password]", "Enter");
}
const first = await lookPast(0.5);
const second = await lookPast(first.time + 1);
const links = await page.$$eval("a", (all) => all.map((link) => link.getAttribute("href")));
const protocols = await page.evaluate(() => [...new Set(performance.getEntries().map((entry) => entry.nextHopProtocol).filter(Boolean))]);
console.log(JSON.stringify({ first, second, messages, links, protocols }));
await browser.close();
