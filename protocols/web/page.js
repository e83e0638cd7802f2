/*
 * The page: a client of nvrd's live streams, recordings and metrics, and of nothing else. Here: which view is shown, and what all
 * of them have in common. Views have an element, a title, a toolbar, update(server), onKey(event) and close().
 */
import { h, icon, iconButton, load, save, select, sleep } from "./dom.js";
import { GridView, StageView, whenSoundIsAllowed } from "./live_view.js";
import { RecordedView } from "./recorded_view.js";
import { listCameras, listRecorded, readMetrics, whenLoginIsNeeded } from "./server.js";
import { SystemView } from "./system_view.js";
import { language, LANGUAGES, t } from "./text.js";

const AGAIN_MS = 5000;
const THEMES = ["auto", "dark", "light"];

/* What the server said last: cameras, metrics (null: none), and those before, for rates. */
const server = { cameras: [], metrics: null, before: null };
let view = null;

const main = h("main", { id: "main", tabindex: "-1" });
const toolbar = h("div", { class: "toolbar" });
const notice = h("p", { class: "notice", role: "alert", hidden: true });
const tabs = Object.fromEntries(["live", "recordings", "system"].map((name) => [name, tab(name)]));

function tab(name) {
	return h("a", { href: `#${name}`, class: "tab" }, icon(name), h("span", {}, t(name)));
}

/* --- colours and language --- */

function showTheme(theme) {
	if (theme === "auto")
		delete document.documentElement.dataset.theme;
	else
		document.documentElement.dataset.theme = theme;
}

function themeButton() {
	let theme = THEMES.includes(load("theme", "auto")) ? load("theme", "auto") : "auto";
	const label = () => t("theme", { now: t(`theme${theme[0].toUpperCase()}${theme.slice(1)}`) });
	const button = iconButton(theme, label(), () => {
		theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
		save("theme", theme);
		showTheme(theme);
		button.replaceWith(themeButton());
	}, { class: "icon theme" });

	showTheme(theme);
	return button;
}

function languageSelect() {
	return select(t("language"), LANGUAGES, language, (chosen) => {
		save("language", chosen);
		location.reload();
	});
}

/* --- what is shown --- */

function showNotice(text, button = null) {
	notice.hidden = !text;
	notice.replaceChildren(text, ...(button ? [button] : []));
}

function parseInstant(name) {
	const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d(?:\.\d+)?)Z$/.exec(name ?? "");

	return parts ? Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}Z`) : null;
}

async function makeView([kind, camera, instant]) {
	const named = server.cameras.find(({ name }) => name === camera);

	if (kind === "system")
		return new SystemView(server);
	if (kind === "recordings") {
		const recorded = await listRecorded().catch(() => []);
		const names = [...new Set([...server.cameras.map(({ name }) => name), ...recorded])].sort();
		const wanted = names.includes(camera) ? camera : load("camera", names[0]);
		const chosen = names.includes(wanted) ? wanted : names[0];
		save("camera", chosen);
		return chosen ? new RecordedView(chosen, names, parseInstant(instant)) : new GridView(server);
	}
	return named ? new StageView(server, named) : new GridView(server);
}

let shown = 0; // counts, so that of two views that are being made the later one is shown

async function show() {
	const parts = location.hash.slice(1).split("/").map(decodeURIComponent);
	const kind = parts[0] in tabs ? parts[0] : "live";
	const number = ++shown;
	const next = await makeView([kind, ...parts.slice(1)]);

	if (number !== shown) {
		next.close();
		return;
	}
	view?.close();
	view = next;
	for (const link of Object.values(tabs))
		link.removeAttribute("aria-current");
	tabs[kind].setAttribute("aria-current", "page");
	document.title = `${view.title} · nvrd`;
	document.body.dataset.view = view.constructor.name;
	toolbar.replaceChildren(...view.toolbar);
	main.replaceChildren(view.element);
}

async function ask() {
	const cameras = await listCameras();
	const metrics = await readMetrics().catch(() => null);

	[server.cameras, server.before, server.metrics] = [cameras, server.metrics, metrics];
}

async function run() {
	for (;;) {
		try {
			await ask();
			showNotice("");
			if (view)
				view.update(server);
			else
				await show();
		} catch (error) {
			if (error.status !== 401)
				showNotice(error.status === 403 ? t("forbidden") : t("noAnswer"));
		}
		await sleep(AGAIN_MS);
	}
}

/* The browser asks for a password by itself; who sends it away gets another chance. */
whenLoginIsNeeded(() => showNotice(t("loginNeeded"), h("button", { type: "button", onclick: () => location.reload() }, t("login"))));
whenSoundIsAllowed(() => view?.restoreSound?.());
document.documentElement.lang = language;
document.body.append(
	h("a", { class: "skip", href: "#main", onclick: (event) => {
		event.preventDefault();
		main.focus();
	} }, t("skip")),
	h("header", {}, h("nav", { "aria-label": t("views") }, ...Object.values(tabs)), toolbar, h("div", { class: "settings" }, languageSelect(), themeButton())),
	notice, main);
main.append(h("p", { class: "hint" }, t("looking")));
addEventListener("hashchange", show);
addEventListener("keydown", (event) => view?.onKey(event));
run();
