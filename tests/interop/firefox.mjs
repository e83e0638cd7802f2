/*
 * Firefox for the tests, by WebDriver BiDi. What that protocol does not have of newContext()'s options are preferences: each context
 * is a Firefox of its own.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url); // finds it in NODE_PATH
const { _bidiFirefox: firefox } = require("playwright-core");

/* Nothing but this machine, and a network that a test made, is reached: the proxy of all else is a port at which nobody listens. */
const ALONE = {
	"network.proxy.type": 1, "network.proxy.http": "127.0.0.1", "network.proxy.http_port": 9, "network.proxy.ssl": "127.0.0.1", "network.proxy.ssl_port": 9,
	"network.proxy.no_proxies_on": "10.77.0.0/16", // lossy_network.py
	"network.captive-portal-service.enabled": false, "network.connectivity-service.enabled": false, "network.dns.disablePrefetch": true, "network.trr.mode": 5,
	"security.OCSP.enabled": 0, "toolkit.telemetry.enabled": false, "toolkit.telemetry.unified": false, "browser.region.update.enabled": false,
};

/* What is not told by this protocol: what breaks the page's policy, and scripts that end in an error. */
function complain() {
	const isIcon = (uri) => uri.endsWith("/favicon.ico"); // Firefox asks for it where a list names none

	addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => isIcon(blockedURI) || console.error("policy", violatedDirective, blockedURI));
	addEventListener("error", ({ message, filename, lineno }) => message && console.error(message, filename, lineno));
	addEventListener("unhandledrejection", ({ reason }) => console.error(String(reason)));
}

const preferencesOf = ({ locale = "en-GB", colorScheme, hasTouch }, downloads) => ({
	...ALONE, "media.autoplay.default": 0,
	"intl.accept_languages": locale, "layout.css.prefers-color-scheme.content-override": colorScheme === "light" ? 1 : 0, "dom.w3c_touch_events.enabled": hasTouch ? 1 : 0,
	"browser.download.folderList": 2, "browser.download.dir": downloads ?? "", "browser.download.alwaysOpenPanel": false,
});

/* As playwright's browser; what is downloaded comes into that folder. */
export function launchFirefox(downloads) {
	const browsers = new Set();

	async function newContext({ timezoneId = "UTC", locale, colorScheme, hasTouch, isMobile, ...options } = {}) {
		const browser = await firefox.launch({ executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr", timeout: 120000,
			env: { ...process.env, TZ: timezoneId }, firefoxUserPrefs: preferencesOf({ locale, colorScheme, hasTouch }, downloads) });
		browsers.add(browser);
		const context = await browser.newContext(options);
		context.close = () => browsers.delete(browser) && browser.close();
		await context.addInitScript(complain);
		return context;
	}

	return { newContext, close: () => Promise.all([...browsers].map((browser) => browser.close())) };
}
