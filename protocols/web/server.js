// nvrd as this page sees it (but for ONVIF, see ptz.js): /live/, WebDAV of /recordings/, playlists, /metrics. All addresses are relative to the page.

const DAV = "DAV:";
const NVRD = "urn:nvrd:dav";

export class HttpError extends Error {
	constructor(response, text) {
		super(text || `${response.status} ${response.statusText}`);
		this.status = response.status;
		this.response = response; // not read, unless the text is of it
	}
}

let onLoginNeeded = () => {};

/* Whose session it is; null: nobody has to log in, or the browser knows a password. */
export let sessionUser = null;

/* Called when the server wants to know who is there. */
export function whenLoginIsNeeded(f) {
	onLoginNeeded = f;
}

/* With this the server leaves it to the page to ask for a password. */
const ASKED_HERE = { "X-Requested-With": "nvrd" };

/* From now on a cookie stands for the password. An HttpError of 401: it is wrong; of 403: it is one for programs; of 429: later. */
export async function logIn(user, password) {
	const bytes = new TextEncoder().encode(`${user}:${password}`);
	const response = await fetch("login", { method: "POST",
		headers: { ...ASKED_HERE, Authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` } });

	if (!response.ok)
		throw new HttpError(response);
}

export function logOut() {
	return request("login", { method: "DELETE" });
}

/* fetch() as all of the page uses it: what is no success is an HttpError, whose text is what the server said. */
export async function request(path, options = {}) {
	const response = await fetch(path, { cache: "no-store", ...options, headers: { ...ASKED_HERE, ...options.headers } });

	sessionUser = response.headers.get("Session-User");
	if (response.status === 401)
		onLoginNeeded();
	if (!response.ok) {
		const isText = response.headers.get("Content-Type")?.startsWith("text/plain");
		throw new HttpError(response, isText ? (await response.text()).trim() : "");
	}
	return response;
}

/*
 * The cameras that this user may see, from the list of links at /live/: { name, up, files }, the files as in "live.mp4" and
 * "sub/index.m3u8".
 */
export async function listCameras() {
	const response = await request("live/");
	const page = new DOMParser().parseFromString(await response.text(), "text/html");

	return [...page.querySelectorAll("li")].map((item) => {
		const links = [...item.querySelectorAll("a")].map((link) => link.getAttribute("href"));
		const name = links[0].split("/")[0];

		return { name, up: item.classList.contains("up"),
			files: new Set(links.filter((link) => link.startsWith(`${name}/`)).map((link) => link.slice(name.length + 1))) };
	});
}

/* --- recordings --- */

async function multistatus(path, options) {
	const response = await request(path, { ...options, headers: { "Content-Type": "application/xml", ...options.headers } });
	const document = new DOMParser().parseFromString(await response.text(), "application/xml");

	return [...document.getElementsByTagNameNS(DAV, "response")];
}

const textOf = (element, space, name) => element.getElementsByTagNameNS(space, name)[0]?.textContent ?? "";

/* The names of the members of a collection that are collections. */
async function listFolders(path) {
	const responses = await multistatus(path, { method: "PROPFIND", headers: { Depth: "1" },
		body: `<propfind xmlns="${DAV}"><prop><displayname/><resourcetype/></prop></propfind>` });

	return responses.slice(1).filter((one) => one.getElementsByTagNameNS(DAV, "collection").length > 0)
		.map((one) => textOf(one, DAV, "displayname"));
}

/* The days for which a camera has recordings: a Set of "2026-11-20". */
export async function listDays(camera) {
	try {
		return new Set(await listFolders(`recordings/${camera}/`));
	} catch (error) {
		if (error.status === 404)
			return new Set();
		throw error;
	}
}

/* The names of the cameras that have recordings, also those that are cameras no more. */
export function listRecorded() {
	return listFolders("recordings/");
}

/*
 * The recordings of a camera that lie between two instants (ms) in part at least, the earliest first, at most so many:
 * { start, end, codecs, motion }, instants in ms.
 */
export async function findRecordings(camera, from, to, most = 10000, signal = undefined) {
	const instant = (ms) => new Date(ms).toISOString();
	const responses = await multistatus(`recordings/${camera}/`, { method: "SEARCH", signal, body:
		`<searchrequest xmlns="${DAV}" xmlns:n="${NVRD}"><basicsearch><select><prop><n:start/><n:end/><n:codec/><n:motion/></prop></select>` +
		`<from><scope><href>./</href><depth>infinity</depth></scope></from><where><and>` +
		`<lt><prop><n:start/></prop><literal>${instant(to)}</literal></lt><gt><prop><n:end/></prop><literal>${instant(from)}</literal></gt>` +
		`</and></where><orderby><order><prop><n:start/></prop><ascending/></order></orderby><limit><nresults>${most}</nresults></limit>` +
		`</basicsearch></searchrequest>` });

	return responses.map((one) => ({
		start: Date.parse(textOf(one, NVRD, "start")),
		end: Date.parse(textOf(one, NVRD, "end")),
		codecs: textOf(one, NVRD, "codec"),
		motion: textOf(one, NVRD, "motion") === "1",
	})).filter((one) => one.end > one.start);
}

/* An instant in ms as recordings are named by it: "20261120T143000.250Z". */
export function instantName(ms) {
	const [whole, fraction] = new Date(ms).toISOString().replace(/[-:]/g, "").slice(0, -1).split(".");

	return fraction === "000" ? `${whole}Z` : `${whole}.${fraction}Z`;
}

export function rangeName(camera, from, to, kind) {
	return `recordings/${camera}/${instantName(from)}--${instantName(to)}.${kind}`;
}

/*
 * What of a media playlist of recordings is media: { file, offset, bytes, start, end, map }, instants in ms; `file` is a URL without
 * its query, `map` is { file, offset, bytes } of what goes before it.
 */
function parsePlaylist(text, base) {
	const entries = [];
	let map = null, entry = {}, start = 0;

	const place = (uri, range) => {
		const url = new URL(uri, base);
		const [bytes, offset] = range.split("@").map(Number);
		url.search = "";
		return { file: url.href, offset, bytes };
	};
	for (const line of text.split("\n")) {
		const [tag, value] = [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1)];
		if (tag === "#EXT-X-MAP") {
			map = place(/URI="([^"]*)"/.exec(value)[1], /BYTERANGE="([^"]*)"/.exec(value)[1]);
		} else if (tag === "#EXT-X-PROGRAM-DATE-TIME") {
			start = Date.parse(value);
		} else if (tag === "#EXTINF") {
			entry.length = parseFloat(value) * 1000;
		} else if (tag === "#EXT-X-BYTERANGE") {
			entry.range = value;
		} else if (line && !line.startsWith("#")) {
			if (entry.range)
				entries.push({ ...place(line, entry.range), start, end: start + entry.length, map });
			start += entry.length;
			entry = {};
		}
	}
	return entries;
}

export async function readPlaylist(camera, from, to, signal) {
	const path = rangeName(camera, from, to, "m3u8");
	const response = await request(`${path}?media`, { signal });

	return parsePlaylist(await response.text(), new URL(path, document.baseURI));
}

/* Bytes of a recording, with decode times that count from `origin` (ms). */
export async function readPart({ file, offset, bytes }, origin, signal) {
	const response = await request(`${file}?origin=${instantName(origin)}`,
		{ signal, headers: { Range: `bytes=${offset}-${offset + bytes - 1}` } });

	return response.arrayBuffer();
}

/* --- metrics --- */

/*
 * Prometheus' text format 0.0.4 as { family: [{ labels: { name: value }, value }] }.
 */
function parseMetrics(text) {
	const families = {};
	const unescape = (value) => value.replace(/\\(.)/g, (whole, c) => (c === "n" ? "\n" : c));

	for (const line of text.split("\n")) {
		const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
		if (!parts)
			continue;
		const labels = {};
		for (const [, name, value] of (parts[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
			labels[name] = unescape(value);
		(families[parts[1]] ??= []).push({ labels, value: Number(parts[3]) });
	}
	return families;
}

export async function readMetrics() {
	return new Metrics(await (await request("metrics")).text());
}

/* What /metrics said at one moment. */
export class Metrics {
	#families;

	constructor(text) {
		this.at = performance.now();
		this.#families = parseMetrics(text);
	}

	/* All series of a family that have these labels. */
	series(family, labels = {}) {
		return (this.#families[family] ?? []).filter((one) => Object.entries(labels).every(([name, value]) => one.labels[name] === value));
	}

	/* Their sum; undefined when there is none. */
	sum(family, labels) {
		const series = this.series(family, labels);
		return series.length ? series.reduce((total, one) => total + one.value, 0) : undefined;
	}

	/* The label `state` of that which is 1. */
	state(family, labels) {
		return this.series(family, labels).find((one) => one.value === 1)?.labels.state;
	}

	/* How fast a counter rose since an earlier moment, per second. */
	rate(before, family, labels) {
		const [then, now] = [before?.sum(family, labels), this.sum(family, labels)];
		return then === undefined || now === undefined || now < then ? undefined : (now - then) / (this.at - before.at) * 1000;
	}

	/* Why a camera is not there: the reason that was counted last, or most often when that was before the page looked. */
	failure(before, camera) {
		const now = this.series("nvrd_camera_failures_total", { camera });
		const rise = (one) => one.value - (before?.sum("nvrd_camera_failures_total", one.labels) ?? 0);
		return now.sort((a, b) => rise(b) - rise(a) || b.value - a.value)[0]?.labels.reason;
	}
}
