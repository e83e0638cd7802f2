// Logs in to the page as a person would; a line of JSON for each thing that has to hold. The job is on stdin (test_login.py).
import { readFileSync } from "node:fs";
import { checkAccess, holds, launch, waitFor } from "./chromium.mjs";

const job = JSON.parse(readFileSync(0));
const browser = await launch(job);
const complaints = [];
let page;

async function open(address, options = {}) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "dark", locale: "en-GB", ignoreHTTPSErrors: true, ...options });

	page = await context.newPage();
	page.on("pageerror", (error) => complaints.push(String(error)));
	page.on("console", (message) => {
		const isRefused = /the server responded with a status of (401|403|429)/.test(message.text()); // which is what is tried
		const isGone = message.text().includes("503"); // the camera that is not there
		if (["error", "warning"].includes(message.type()) && !isRefused && !isGone)
			complaints.push(`${message.text()} ${message.location().url}`);
	});
	await page.goto(address);
	return context;
}

async function until(ask, what) {
	const seen = await waitFor(page, ask);

	if (!seen)
		throw new Error(`waited in vain: ${what}: ${await page.textContent("body").catch(String)}`);
	return seen;
}

const screenshot = (name) => job.shots && page.screenshot({ path: `${job.shots}/${name}.png` });
const focused = () => page.evaluate(() => document.activeElement.name ?? document.activeElement.tagName);
const notice = () => page.$eval("#notice", (one) => one.hidden ? "" : one.textContent);
const cookie = async (context) => (await context.cookies(job.url)).find(({ name }) => name.includes("nvrd-session"));
const choose = (way) => page.evaluate((one) => localStorage.setItem("nvrd.transport", JSON.stringify({ porch: one })), way);
const form = () => until(() => page.$("form.login"), "the form");
const moving = () => until(() => page.$$eval("video, .picture img", (all) => all.some((one) => one.currentTime > 0.5 || one.naturalWidth > 0)), "a picture that moves");

/* Loads the page anew, with that view. */
async function show(hash) {
	await page.evaluate((to) => { location.hash = to; }, hash);
	await page.reload();
}

async function logIn(user, password) {
	await page.fill("[name=user]", user);
	await page.fill("[name=password]", password);
	await page.press("[name=password]", "Enter");
}

/* By keys alone, as somebody does who sees nothing. */
async function checkForm() {
	const context = await open(job.url);

	await form();
	holds(await focused() === "user", "the form has the focus", await focused());
	holds(await page.title() === "Log in · nvrd" && !await page.isVisible("nav") && !await page.isVisible("header .icon[aria-label^='Log out']"), "there is nothing else to go to", await page.title());
	await checkAccess(page, "the form");
	await screenshot("login");
	const tree = await page.locator("form.login").ariaSnapshot();
	holds(/form "Log in"/.test(tree) && /textbox "User name"/.test(tree) && /textbox "Password"/.test(tree) && /button "Log in"/.test(tree), "a screen reader says what is what", tree);
	await page.keyboard.type("anna");
	await page.keyboard.press("Tab");
	await page.keyboard.type("wrong");
	await page.keyboard.press("Tab");
	holds(await focused() === "", "Tab goes to the button", await focused());
	await page.keyboard.press("Enter");
	holds(await until(notice, "a complaint") === "The user name or the password is wrong.", "a wrong password is told", await notice());
	await until(async () => await focused() === "password", "the password's field");
	await screenshot("login-wrong");
	await checkAccess(page, "the form with a complaint");
	await page.keyboard.type("sécret"); // what was there is selected
	await page.keyboard.press("Enter");
	await until(() => page.$(".tile"), "the cameras");
	await moving();
	holds(true, "the right one, of other letters than ASCII, shows the cameras");
	holds((await page.content()).includes("Log out anna") && await page.isVisible("nav"), "who it is, and how to log out, are shown");
	await screenshot("logged-in");
	const { httpOnly, sameSite, secure, path, expires } = await cookie(context);
	holds(httpOnly && sameSite === "Strict" && secure === job.url.startsWith("https") && path === "/" && expires > Date.now() / 1000 + 29 * 86400, "the browser keeps the cookie as it should", await cookie(context));
	holds(await page.evaluate(() => document.cookie) === "", "no script sees it");
	return context;
}

/* Each way of live pictures, and the recordings, by the cookie. */
async function checkViews() {
	for (const way of job.ways ?? ["whep", "mse", "mjpeg"]) {
		await choose(way);
		await show("live/porch");
		await until(() => page.$eval(".picture", (one, way) => one.dataset.state === "playing" && one.dataset.way === way, way), `${way} plays`);
		holds(true, `live pictures by ${way}`);
	}
	await show("recordings/porch");
	await until(() => page.$eval("video", (video) => video.readyState > 1), "a recording");
	holds(true, "recordings");
	await show("system");
	await until(() => page.$(".system table"), "the numbers");
	holds(true, "the system's numbers");
}

async function checkLogout(context) {
	const other = await context.newPage();

	await page.click("[aria-label='Log out anna']");
	await form();
	await until(async () => !await cookie(context), "the cookie is gone");
	holds(true, "who logs out sees the form, and the cookie is gone");
	await other.goto(job.url);
	await other.waitForSelector("form.login");
	await other.fill("[name=user]", "anna");
	await other.fill("[name=password]", "sécret");
	await other.press("[name=password]", "Enter");
	await other.waitForSelector(".tile");
	await until(() => page.$(".system table"), "the page that was left alone");
	holds(true, "who logs in again in another tab is logged in here, too, and where he was");
	await other.close();
}

/* The server has forgotten the session: pictures that are fetched without a script must not make the browser ask. */
async function checkForgotten(context) {
	await choose("mjpeg");
	await show("live/porch");
	await moving();
	const { name, value } = await cookie(context);
	await context.addCookies([{ name, value: value.replace(/./g, "0"), url: job.url, httpOnly: true, sameSite: "Strict", secure: job.url.startsWith("https") }]);
	const refused = await page.evaluate(() => new Promise((resolve) => {
		const image = new Image();
		image.addEventListener("error", () => resolve(true)); // which does not come while a browser asks
		setTimeout(() => resolve(false), 15000);
		image.src = "live/porch/snapshot.jpg";
	}));
	holds(refused, "a session that is over: for a picture the browser does not ask");
	await form();
	holds(true, "but the page does");
	await context.close();
}

/* Another nvrd on another port of this host. */
async function checkNeighbour() {
	const context = await open(job.url);

	for (const url of [job.url, job.other]) {
		await page.goto(url);
		await form();
		await logIn("olga", "pw-olga");
		await until(() => page.$(".tile"), `the cameras of ${url}`);
	}
	for (const url of [job.url, job.other]) {
		await page.goto(url);
		await until(() => page.$(".tile"), `still logged in to ${url}`);
	}
	holds(true, "one browser is logged in to two nvrd on one host");
	await page.click("[aria-label='Log out olga']");
	await form();
	await page.goto(job.url);
	await until(() => page.$(".tile"), "still logged in to the first");
	holds(true, "and logs out of one alone");
	await context.close();
}

async function checkOthers() {
	for (const [options, name, words] of [[{ locale: "zh-CN", colorScheme: "light" }, "login-zh", ["登录", "用户名", "密码"]],
		[{ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, "login-phone", ["Log in"]]]) {
		const context = await open(job.url, options);
		await form();
		const text = await page.textContent("form.login");
		const small = await page.$$eval("form.login input, form.login button", (all) => all.filter((one) => one.offsetHeight < 40).length);
		const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
		holds(words.every((word) => text.includes(word)) && (!options.isMobile || small === 0) && !wide, `${name}: the form speaks and fits`, { text, small, wide });
		await checkAccess(page, name);
		await screenshot(name);
		if (options.isMobile) {
			await logIn("anna", "sécret");
			await until(() => page.$(".tile"), "the cameras");
			for (const [hash, shown] of [["", ".tile"], ["#recordings/porch", ".recorded"], ["#system", ".system .card"]]) {
				await page.evaluate((to) => { location.hash = to; }, hash);
				await until(() => page.$(shown), shown);
				const { fits, height } = await page.$eval("[aria-label='Log out anna']", (one) => ({
					fits: one.getBoundingClientRect().right <= innerWidth && document.documentElement.scrollWidth <= innerWidth, height: one.offsetHeight }));
				holds(fits && height >= 40, `on a phone there is room for logging out of ${shown}`, { fits, height });
				await screenshot(`logged-in-phone${hash.slice(0, 4).replace("#", "-")}`);
			}
		}
		await context.close();
	}
}

async function checkGuesses() {
	const context = await open(job.url);

	await form();
	for (let n = 0; n < 10 && !/Too many/.test(await notice()); n++) {
		const answer = page.waitForResponse((response) => response.request().method() === "POST");
		await logIn(job.stranger, `guess ${n}`);
		await answer;
		await until(notice, "a complaint");
		await page.waitForTimeout(50);
	}
	holds(/Too many attempts/.test(await notice()), "too many guesses are told", await notice());
	await logIn("olga", "pw-phone");
	await until(async () => /for a program/.test(await notice()), "an application password is told");
	holds(true, "an application password is told");
	await context.close();
}

try {
	const context = await checkForm();
	await checkViews();
	await checkLogout(context);
	await checkForgotten(context);
	await checkNeighbour();
	await checkOthers();
	await checkGuesses();
	holds(complaints.length === 0, "the console is silent", complaints);
} catch (error) {
	holds(false, "one can log in to the page", `${error.stack} ${JSON.stringify(complaints)}`);
}
await browser.close();
