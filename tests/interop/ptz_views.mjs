// Moves a camera in the page as a person would; a line of JSON for each thing that has to hold. The job is on stdin (test_ptz_page.py).
import { readFileSync } from "node:fs";
import { checkAccess, holds, launch, waitFor } from "./chromium.mjs";

const job = JSON.parse(readFileSync(0));
const EVIL = "<img src=x onerror=window.hacked=1>";
const PASSWORDS = { olga: "open sesame", vic: "view" };
const STOP = { PanTilt: "true", Zoom: "true" };

const isFirefox = job.browser === "firefox";
const browser = await launch(job);
const complaints = [];
let page;

async function open(user, hash, options = {}) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "dark", locale: "en-GB", ...options });

	page = await context.newPage();
	page.on("pageerror", (error) => complaints.push(String(error)));
	page.on("console", (message) => {
		const { url } = message.location();
		const isAsked = message.text().includes("401") // who is there
			|| (url.includes("/live/") && message.text().includes("503")); // a test source may fail on a busy machine
		if (["error", "warning"].includes(message.type()) && !isAsked)
			complaints.push(`${message.text()} ${url}`);
	});
	await page.goto(job.url + hash);
	await until(() => page.$("form.login"), "the form");
	await page.fill("[name=user]", user);
	await page.fill("[name=password]", PASSWORDS[user]);
	await page.press("[name=password]", "Enter");
	await until(() => page.$(".stage, .grid"), "the cameras");
	return context;
}

async function until(ask, what) {
	const seen = await waitFor(page, ask);

	if (!seen)
		throw new Error(`waited in vain: ${what}: ${JSON.stringify(await moves())} ${JSON.stringify(complaints)}`);
	return seen;
}

/* --- the camera --- */

const forget = () => fetch(job.desk, { method: "POST" });
const moves = async () => (await fetch(`${job.desk}moves`)).json();
const names = async () => (await moves()).map(([name]) => name);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const move = (...velocity) => ["ContinuousMove", { Velocity: velocity, Timeout: "PT3S" }];
/* What is said twice as said once: moves that are renewed, and the stop behind a move that may have come later than the first. */
const told = (all) => all.filter((one, i) => !same(one, all[i - 1]));

/* What the camera is asked is this, and remains so. */
async function saw(expected, name) {
	const isRight = async () => same(told(await moves()), expected);
	const came = await waitFor(page, isRight, 10);

	await page.waitForTimeout(1500); // in which a move that is not over is renewed
	holds(came && await isRight(), name, { expected, moves: await moves() });
	await forget();
}

const button = (label) => page.locator(`.mover-panel [aria-label="${label}"]`);
const toggle = () => page.locator(".stage-bar [aria-label^='Move '], .stage-bar [aria-label$='云台控制']");
const note = () => page.textContent(".mover-panel [role=status]");
const screenshot = (name) => job.shots && !isFirefox && page.screenshot({ path: `${job.shots}/${name}.png` });
const moving = () => until(async () => (await names()).includes("ContinuousMove"), "it moves");

async function openControls() {
	await until(() => toggle().isVisible(), "the button");
	await toggle().click();
	await until(async () => (await names()).includes("GetPresets") && page.$(".presets button"), "the presets");
	await forget();
}

async function press(label) {
	const box = await button(label).boundingBox();

	await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
	await page.mouse.down();
}

async function hold(label, release) {
	await press(label);
	await moving();
	await release();
}

/* The controls leave room for the picture, and hide nothing of it. */
async function checkPicture(name) {
	const { width, picture, panel, bar, form } = await page.evaluate(() => {
		const box = (selector) => document.querySelector(selector).getBoundingClientRect().toJSON();
		return { width: innerWidth, picture: box(".picture"), panel: box(".mover-panel"), bar: box(".stage-bar"), form: box(".places form") };
	});
	const isBeside = panel.left >= picture.right && panel.top >= picture.top && panel.bottom <= bar.top, isBelow = panel.top >= picture.bottom && panel.bottom <= bar.top;

	holds(picture.width > 380 && picture.height > 215 && panel.right <= width && (isBeside || isBelow), `${name}: they are beside the picture`, { picture, panel, bar });
	holds(form.bottom <= panel.bottom && form.right <= panel.right, `${name}: a long list of positions leaves room for a new one`, { form, panel });
}

/* --- buttons --- */

async function checkHold() {
	const context = await open("olga", "#live/dome");

	await openControls();
	await checkPicture("the controls");
	await press("Right");
	await until(async () => (await moves()).length >= 3, "the move is renewed");
	holds((await moves()).every((one) => same(one, move(0.5, 0))), "a direction that is held moves the camera, and goes on", await moves());
	await page.mouse.up();
	await saw([move(0.5, 0), ["Stop", STOP]], "and stops it when it is let go");
	await hold("Up and left", () => page.mouse.up());
	await saw([move(-0.5, 0.5), ["Stop", STOP]], "up and left");
	await hold("Zoom out", () => page.mouse.up());
	await saw([move(null, null, -0.5), ["Stop", STOP]], "zoom");
	await button("To its home position").click();
	await saw([["GotoHomePosition", {}]], "home");
	await page.click(".presets button");
	await saw([["GotoPreset", { PresetToken: "1" }]], "a position that the camera remembers");
	if (job.only.length === 0)
		await checkRest();
	await context.close();
}

async function checkRest() {
	await screenshot("ptz");
	await checkAccess(page, "the controls");
	holds((await page.textContent(".presets")).includes(EVIL) && !await page.evaluate(() => window.hacked), "a script in a position's name does not run", await page.textContent(".presets"));
	await page.fill(".places input", "a <b> & ü");
	await page.press(".places input", "Enter");
	await until(async () => (await page.textContent(".presets")).includes("a <b> & ü"), "the new position");
	await saw([["SetPreset", { PresetName: "a <b> & ü" }], ["GetPresets", {}]], "a position is kept by its name");
	await page.fill("[aria-label=Speed]", "1");
	await hold("Down", () => page.mouse.up());
	await saw([move(0, -1), ["Stop", STOP]], "as fast as is chosen");
	await page.fill("[aria-label=Speed]", "0.5");
	await checkLosing();
	await checkKeys();
}

/* Whatever ends it, the camera stops. */
async function checkLosing() {
	const expected = [move(-0.5, 0), ["Stop", STOP]];
	const hide = (isHidden) => page.evaluate((hidden) => {
		Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
		document.dispatchEvent(new Event("visibilitychange"));
	}, isHidden);

	await hold("Left", async () => {
		await page.mouse.move(20, 300);
		await page.mouse.up();
	});
	await saw(expected, "it stops when the button is let go elsewhere");
	await hold("Left", () => hide(true));
	await hide(false);
	await saw(expected, "when the page is hidden");
	await page.mouse.up();
	await hold("Left", () => page.evaluate(() => dispatchEvent(new Event("blur"))));
	await saw(expected, "when the window loses the focus");
	await page.mouse.up();
	await page.evaluate(() => {
		const whole = window.fetch;
		window.fetch = (path, options) => (window.isCut && options.body?.includes("ContinuousMove") ? Promise.reject(new TypeError("cut")) : whole(path, options));
	});
	await hold("Left", () => page.evaluate(() => { window.isCut = true; }));
	await until(async () => (await note()).includes("nvrd does not answer"), "a complaint");
	await page.evaluate(() => { window.isCut = false; });
	await saw(expected, "when a request fails, which is told");
	await page.mouse.up();
	/* the camera answers late, and the stop comes before the move */
	await page.evaluate(() => {
		const whole = window.fetch;
		window.fetch = async (path, options) => {
			if (options.body?.includes("ContinuousMove"))
				await new Promise((resolve) => setTimeout(resolve, 700));
			return whole(path, options);
		};
	});
	await press("Left");
	await page.waitForTimeout(100);
	await page.mouse.up();
	await saw([["Stop", STOP], ...expected], "and again behind a move that it has overtaken");
	await page.reload();
	await openControls();
	await hold("Left", () => page.goto("about:blank"));
	await saw(expected, "when the page is left");
	await page.goto(`${job.url}#live/dome`);
	await openControls();
}

async function checkKeys() {
	const { keyboard } = page;
	const keys = async (...all) => {
		for (const key of all)
			await keyboard.down(key);
		await moving();
		for (const key of all)
			await keyboard.up(key);
	};

	holds(await page.evaluate(() => document.activeElement.closest(".mover-panel") !== null), "the controls have the focus when they are shown");
	await keys("ArrowUp");
	await saw([move(0, 0.5), ["Stop", STOP]], "arrow keys move it");
	await keyboard.down("ArrowUp");
	await moving();
	await keyboard.down("+");
	await until(async () => same(told(await moves()), [move(0, 0.5), move(0, 0.5, 0.5)]), "both");
	await keyboard.up("ArrowUp");
	await until(async () => (await moves()).some((one) => same(one, move(0, 0, 0.5))), "zoom alone");
	await keyboard.up("+");
	await saw([move(0, 0.5), move(0, 0.5, 0.5), move(0, 0, 0.5), ["Stop", STOP]], "two keys together, and each for itself");
	await button("Down").focus();
	await keys("Space");
	await saw([move(0, -0.5), ["Stop", STOP]], "a button with the focus is held by the space bar");
	await button("Down").evaluate((one) => one.click());
	await saw([move(0, -0.5), ["Stop", STOP]], "a click without a pointer moves it a little");
	await keyboard.down("ArrowRight");
	await moving();
	await page.focus("[aria-label='Full screen']");
	await keyboard.up("ArrowRight");
	await saw([move(0.5, 0), ["Stop", STOP]], "it stops when the focus goes elsewhere");
	await page.focus(".places input");
	await page.keyboard.press("ArrowLeft");
	await page.keyboard.press("-");
	await saw([], "keys in a field are the field's");
	await button("Up").focus();
	await keyboard.press("Escape");
	holds(await page.$(".mover-panel[hidden]") && await page.$(".stage") && await toggle().evaluate((one) => one === document.activeElement), "Escape hides the controls, and nothing else");
	await keyboard.press("ArrowRight");
	await until(() => page.$(".stage[aria-label=yard]"), "the next camera");
	await saw([], "then arrows go to the next camera, as ever");
}

/* --- who, and where --- */

async function checkOthers() {
	const asked = [];
	let context = await open("olga", "");

	page.on("request", (request) => request.url().includes("/onvif/") && asked.push(request.postData()));
	await page.waitForTimeout(1000);
	holds(asked.length === 0 && await page.$(".mover-panel") === null, "in the grid there are no controls, and nothing is asked", asked);
	await page.evaluate(() => { location.hash = "live/yard"; });
	await until(async () => asked.length > 0, "it is asked");
	await page.waitForTimeout(1000);
	holds(asked.length === 1 && !await toggle().isVisible(), "a camera that cannot be moved has none, and that is asked once", asked);
	await context.close();
	context = await open("vic", "#live/dome");
	await page.waitForTimeout(2000);
	holds(!await toggle().isVisible() && await page.isVisible("[aria-label='Full screen']"), "nor are there any for a viewer");
	await context.close();
}

/* A page at another port of the host, to which the browser gives the cookie. */
async function checkForeign() {
	const context = await open("olga", "#live/dome");
	const heard = complaints.length;

	await openControls();
	await page.goto(job.desk);
	const done = await page.evaluate(async (url) => {
		const body = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns="http://www.onvif.org/ver20/ptz/wsdl"><s:Body><GotoHomePosition><ProfileToken>dome</ProfileToken></GotoHomePosition></s:Body></s:Envelope>';
		const ways = [{ mode: "no-cors", headers: { "Content-Type": "text/plain" } }, { mode: "no-cors", headers: { "Content-Type": "application/x-www-form-urlencoded" } }, { mode: "no-cors", body: new Blob([body]) },
			{ headers: { "Content-Type": "application/soap+xml" } }];
		return Promise.all(ways.map((way) => fetch(`${url}onvif/ptz_service`, { method: "POST", credentials: "include", body, ...way }).then(({ type }) => type, () => "refused")));
	}, job.url);
	holds(same(done, ["opaque", "opaque", "opaque", "refused"]), "a page of another server can ask, and reads no answer", done);
	await saw([], "but the camera is not moved");
	complaints.splice(heard); // of that page
	await context.close();
}

async function checkPhones() {
	for (const [viewport, name] of [[{ width: 390, height: 844 }, "phone"], [{ width: 844, height: 390 }, "phone-wide"]]) {
		const context = await open("olga", "#live/dome", { viewport, hasTouch: true, isMobile: true, locale: "zh-CN", colorScheme: "light" });
		await openControls();
		const { wide, small } = await page.evaluate(() => ({
			wide: document.documentElement.scrollWidth > innerWidth,
			small: [...document.querySelectorAll(".mover-panel .icon")].filter((one) => one.offsetHeight < 40).map((one) => one.outerHTML),
		}));
		holds(!wide && small.length === 0, `${name}: the controls fit, and are large`, { wide, small });
		await checkPicture(name);
		const labels = await page.$$eval(".mover-panel [aria-label], .stage-bar [aria-label*='dome']", (all) => all.map((one) => one.getAttribute("aria-label")));
		holds(labels.length > 14 && labels.every((label) => /[\u4e00-\u9fff]/.test(label)), `${name}: they speak Chinese`, labels);
		await checkAccess(page, `the controls on a ${name}`);
		await page.waitForTimeout(500);
		await screenshot(`ptz-${name}`);
		if (!isFirefox) // which is not told of touches by this protocol
			await checkTouch(context);
		await context.close();
	}
}

async function checkTouch(context) {
	const client = await context.newCDPSession(page);
	const box = await button("向上").boundingBox();
	const touch = (type, points) => client.send("Input.dispatchTouchEvent", { type, touchPoints: points });
	const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };

	await touch("touchStart", [at]);
	await moving();
	await touch("touchMove", [{ x: at.x - 60, y: at.y - 60 }]);
	await page.waitForTimeout(1200); // longer than what calls a menu
	await touch("touchEnd", []);
	await saw([move(0, 0.5), ["Stop", STOP]], "a finger that holds, and slides off");
}

try {
	for (const [name, check] of Object.entries({ hold: checkHold, others: checkOthers, foreign: checkForeign, phones: checkPhones })) {
		if (job.only.length === 0 || job.only.includes(name))
			await check();
		await forget();
	}
	holds(complaints.length === 0, "the console is silent", complaints);
} catch (error) {
	holds(false, "cameras can be moved in the page", `${error.stack} ${JSON.stringify(complaints)}`);
}
await browser.close();
