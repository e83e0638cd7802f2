/*
 * The page: a client of nvrd's live streams, recordings and metrics, and of nothing else. Here: which view is shown, and what all
 * of them have in common. Views have an element, a title, a toolbar, update(server), onKey(event) and close().
 */
import { h, icon, iconButton, load, save, select, setIcon, sleep } from "./dom.js";
import { GridView, StageView, whenSoundIsAllowed } from "./live_view.js";
import { RecordedView } from "./recorded_view.js";
import { listCameras, listRecorded, logIn, logOut, readMetrics, sessionUser, whenLoginIsNeeded } from "./server.js";
import { SystemView } from "./system_view.js";
import { language, LANGUAGES, t } from "./text.js";

const AGAIN_MS = 5000;
const THEMES = ["auto", "dark", "light"];

/* What the server said last: cameras, metrics (null: none), and those before, for rates. */
const server = { cameras: [], metrics: null, before: null };
let view = null, loginForm = null;

const main = h("main", { id: "main", tabindex: "-1" });
const toolbar = h("div", { class: "toolbar" });
const notice = h("p", { id: "notice", class: "notice", role: "alert", hidden: true });
const tabs = Object.fromEntries(["live", "recordings", "system"].map((name) => [name, tab(name)]));
const nav = h("nav", { "aria-label": t("views") }, ...Object.values(tabs));

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

function showNotice(text) {
	notice.hidden = !text;
	notice.textContent = text;
}

function parseInstant(name) {
	const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d(?:\.\d+)?)Z$/.exec(name ?? "");

	return parts ? Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}Z`) : null;
}

/* What makes the view, once the one before it has gone. */
async function prepareView([kind, camera, instant]) {
	const named = server.cameras.find(({ name }) => name === camera);

	if (kind === "system")
		return () => new SystemView(server);
	if (kind === "recordings") {
		const recorded = await listRecorded().catch(() => []);
		const names = [...new Set([...server.cameras.map(({ name }) => name), ...recorded])].sort();
		const wanted = names.includes(camera) ? camera : load("camera", names[0]);
		const chosen = names.includes(wanted) ? wanted : names[0];
		save("camera", chosen);
		return () => chosen ? new RecordedView(chosen, names, parseInstant(instant)) : new GridView(server);
	}
	return () => named ? new StageView(server, named) : new GridView(server);
}

let shown = 0; // counts, so that of two views that are being prepared the later one is shown

async function show() {
	if (loginForm)
		return;
	const parts = location.hash.slice(1).split("/").map(decodeURIComponent);
	const kind = parts[0] in tabs ? parts[0] : "live";
	const number = ++shown;
	const make = await prepareView([kind, ...parts.slice(1)]);

	if (number !== shown)
		return;
	view?.close();
	view = make();
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
			if (loginForm)
				location.reload(); // somebody has logged in elsewhere
			showNotice("");
			showSession();
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

/* --- who is there --- */

const LOGIN_PROBLEMS = { 401: "wrongPassword", 403: "programPassword", 429: "loginLater" };

async function tryLogin(event) {
	const { user, password } = event.target.elements;

	event.preventDefault();
	try {
		await logIn(user.value, password.value);
		location.reload();
	} catch (error) {
		showNotice(t(LOGIN_PROBLEMS[error.status] ?? "noAnswer"));
		password.select();
		password.focus();
	}
}

function loginField(name, attributes) {
	return h("label", {}, t(name), h("input", { name, required: true, "aria-describedby": notice.id, ...attributes }));
}

function showLogin() {
	if (loginForm)
		return;
	loginForm = h("form", { class: "login", method: "post", "aria-label": t("login"), onsubmit: tryLogin },
		h("h1", {}, t("loginNeeded")),
		loginField("user", { autocomplete: "username", autocapitalize: "none", spellcheck: "false" }),
		loginField("password", { type: "password", autocomplete: "current-password" }),
		h("button", { type: "submit" }, t("login")));
	shown++; // what is being made is not shown any more
	closeView();
	document.title = `${t("login")} · nvrd`;
	document.body.dataset.view = "Login";
	nav.hidden = true;
	toolbar.replaceChildren();
	showSession();
	main.replaceChildren(loginForm);
	loginForm.elements.user.focus();
}

function closeView() {
	view?.close();
	view = null;
}

const logoutButton = iconButton("leave", "", async () => {
	closeView();
	await logOut().catch(() => {});
	location.reload();
});

function showSession() {
	logoutButton.hidden = !sessionUser;
	setIcon(logoutButton, "leave", t("logout", { user: sessionUser }));
}

showSession();
whenLoginIsNeeded(showLogin);
whenSoundIsAllowed(() => view?.restoreSound?.());
document.documentElement.lang = language;
document.body.append(
	h("a", { class: "skip", href: "#main", onclick: (event) => {
		event.preventDefault();
		main.focus();
	} }, t("skip")),
	h("header", {}, nav, toolbar, h("div", { class: "settings" }, languageSelect(), themeButton(), logoutButton)),
	notice, main);
main.append(h("p", { class: "hint" }, t("looking")));
addEventListener("hashchange", show);
addEventListener("pagehide", closeView); // Firefox goes on with what a page reads that is no more
addEventListener("pageshow", ({ persisted }) => persisted && show());
addEventListener("keydown", (event) => view?.onKey(event));
run();
