// What take.py does in Chromium; the job is on stdin.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { launch, waitFor } from "../../tests/interop/chromium.mjs";
import { draw } from "./scenes.mjs";

const job = JSON.parse(readFileSync(0));
const browser = await launch();
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const GRID = { viewport: { width: 1280, height: 592 } };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/* --- films of the scenes --- */

async function film(page, name) {
	const encoder = spawn("ffmpeg", ["-nostdin", "-v", "error", "-y", "-f", "image2pipe", "-c:v", "mjpeg", "-r", String(job.fps), "-i", "-", "-pix_fmt", "yuv420p", "-c:v", "libx264",
		"-preset", "fast", "-crf", "20", "-bf", "0", "-g", String(2 * job.fps), `${job.folder}/${name}.mp4`], { stdio: ["pipe", "inherit", "inherit"] });

	for (let n = 0; n < job.frames; n++) {
		const url = await page.evaluate(([scene, t]) => {
			window.draw(scene, window.context, t);
			return document.querySelector("canvas").toDataURL("image/jpeg", 0.95);
		}, [name, n / job.frames]);
		if (!encoder.stdin.write(Buffer.from(url.slice(url.indexOf(",") + 1), "base64")))
			await once(encoder.stdin, "drain");
	}
	encoder.stdin.end();
	await once(encoder, "close");
}

async function films() {
	const page = await browser.newPage();

	await page.setContent(`<canvas width="1280" height="720"></canvas>`);
	await page.addScriptTag({ content: `window.draw = ${draw}; window.context = document.querySelector("canvas").getContext("2d");` });
	for (const name of job.scenes)
		await film(page, name);
}

/* --- pictures of the page --- */

async function take(name, hash, options, prepare) {
	const context = await browser.newContext({ colorScheme: "dark", locale: "en-GB", timezoneId: "UTC", ...options });
	const page = await context.newPage();
	const isShown = () => page.$eval("video", () => [...document.querySelectorAll("video")].every((video) => video.readyState > 1 || video.getBoundingClientRect().bottom > innerHeight));

	await page.goto(job.url + hash);
	if (!await waitFor(page, isShown))
		throw new Error(`${name}: there are no pictures`);
	await prepare?.(page);
	await page.waitForTimeout(1500);
	await page.screenshot({ path: `${job.folder}/${name}.png` });
	await context.close();
}

async function chooseClip(page) {
	await page.keyboard.press("k"); // it stands
	await page.focus(".timeline canvas");
	for (let n = 0; n < 3; n++)
		await page.keyboard.press("+");
	await page.keyboard.press("c");
	await waitFor(page, () => page.$(".clip a[href]"));
}

async function pictures() {
	const recorded = `#recordings/drive/${job.instant}`;

	await take("live", "", GRID);
	await take("recordings", recorded, DESKTOP, chooseClip);
	await take("camera", "#live/garden", DESKTOP);
	await take("day", recorded, { ...DESKTOP, colorScheme: "light" });
	await take("live-zh", "", { ...GRID, colorScheme: "light", locale: "zh-CN" });
	await take("phone-live", "", PHONE);
	await take("phone-camera", "#live/street", { ...PHONE, colorScheme: "light" });
	await take("phone-recordings", recorded, { ...PHONE, colorScheme: "light" });
	await take("phone-zh", recorded, { ...PHONE, locale: "zh-CN" });
}

await { films, pictures }[job.what]();
await browser.close();
