// The live pictures: a grid of all cameras on their sub-streams, and one camera alone on its main stream.
import { h, iconButton, iconLink, isForView, isNarrow, load, save, select, setIcon, toggleFullscreen } from "./dom.js";
import { LivePlayer, TRANSPORTS } from "./live_player.js";
import { MoveControls } from "./ptz.js";
import { length, reasonText, t } from "./text.js";

const MOST_COLUMNS = 4;
const HIDDEN_MS = 20000; // so long after the page was hidden the pictures go on
const GAP_S = 10; // nothing recorded for so long is worth a word

/* --- what is kept of each camera's sound --- */

const sounds = load("sound", {});
let mayPlaySound = false; // browsers allow it after the first click or key

function keepSound(camera, video) {
	sounds[camera] = { on: !video.muted, volume: video.volume };
	save("sound", sounds);
}

function restoreSound(camera, video) {
	const { on = false, volume = 1 } = sounds[camera] ?? {};

	video.volume = volume;
	video.muted = !(on && mayPlaySound);
}

export function whenSoundIsAllowed(f) {
	const allow = () => {
		mayPlaySound = true;
		f();
	};
	for (const kind of ["pointerup", "keydown"])
		addEventListener(kind, allow, { once: true });
}

/* What state a camera is in, in words; `bad` when somebody should look. */
export function cameraState({ metrics, before }, camera) {
	const state = metrics?.state("nvrd_camera_state", { camera: camera.name }) ?? (camera.up ? "playing" : "down");
	const failure = ["down", "connecting"].includes(state) ? metrics?.failure(before, camera.name) : null;
	const gap = metrics?.sum("nvrd_recorder_gap_seconds", { camera: camera.name }) ?? 0;
	const words = [t(`state_${state}`)];

	if (failure)
		words.push(reasonText(failure));
	if (gap > GAP_S && state !== "off")
		words.push(t("notRecording", { time: length(gap) }));
	return { state, text: words.join(" · "), bad: !["playing", "waiting", "off"].includes(state) || gap > GAP_S };
}

/* --- one picture with its controls --- */

class Tile {
	#badge = h("span", { class: "badge" });
	#state = h("span", { class: "state", role: "status" });
	#message = h("p", { class: "message" });
	#sound;
	#transport;
	#report = { way: null, state: "connecting", text: "" };
	#words = ""; // the camera's state

	constructor(camera, sub, state) {
		this.name = camera.name;
		this.#build(camera, sub);
		this.update(camera, state);
	}

	#build(camera, sub) {
		this.player = new LivePlayer(camera, sub, t("picture", { camera: camera.name }), (report) => this.#onReport(report));
		this.#sound = iconButton("silent", "", () => this.toggleSound(), { class: "icon sound" });
		this.#transport = select(`${t("transport")}: ${camera.name}`, [["auto", t("auto")], ...Object.entries(TRANSPORTS)],
			load("transport", {})[camera.name] ?? "auto", (way) => this.#chooseTransport(way));
		this.#transport.classList.add("transport");
		this.player.choose(this.#transport.value);
		this.video.addEventListener("volumechange", () => this.showSound());
		this.picture = h("div", { class: "picture" }, ...this.player.elements, this.#message);
		this.title = h("div", { class: "tile-title" }, this.#badge, h("span", { class: "name" }, camera.name), this.#state);
		restoreSound(this.name, this.video);
		this.showSound();
	}

	get video() {
		return this.player.video;
	}

	get controls() {
		return [this.#sound, this.#transport];
	}

	toggleSound() {
		this.video.muted = !this.video.muted;
		if (!this.video.muted && this.video.volume === 0)
			this.video.volume = 1;
		keepSound(this.name, this.video);
	}

	setVolume(volume) {
		this.video.volume = volume;
		this.video.muted = volume === 0;
		keepSound(this.name, this.video);
	}

	restoreSound() {
		restoreSound(this.name, this.video);
	}

	showSound() {
		const isOn = !this.video.muted;
		setIcon(this.#sound, isOn ? "sound" : "silent", t(isOn ? "soundOff" : "soundOn", { camera: this.name }));
		this.#sound.classList.toggle("on", isOn);
	}

	#chooseTransport(way) {
		save("transport", { ...load("transport", {}), [this.name]: way });
		this.player.choose(way);
	}

	/* What the server says of the camera. */
	update(camera, server) {
		const { state, text, bad } = cameraState(server, camera);

		this.player.setUp(camera.up);
		this.#badge.className = `badge ${bad ? "bad" : state}`;
		this.#words = text;
		this.#state.textContent = state === "playing" && !bad ? "" : text;
		this.#state.classList.toggle("bad", bad);
		this.#showReport();
	}

	#onReport(report) {
		this.#report = report;
		this.#showReport();
	}

	#showReport() {
		const { way, state, text } = this.#report;
		const messages = {
			connecting: t("connecting"), playing: "", offline: this.#words,
			failed: text ? t("cannotPlay", { what: text }) : t("failed"),
		};

		this.#message.textContent = messages[state];
		this.picture.dataset.state = state;
		this.picture.dataset.way = way ?? "";
		if (way)
			this.#transport.options[0].textContent = t("autoNow", { now: TRANSPORTS[way] });
	}

	stop() {
		this.player.stop();
	}
}

/* The pictures rest while nobody can see the page. */
class Hiding {
	#timer = 0;
	#change;

	constructor(stop, start) {
		this.#change = () => {
			clearTimeout(this.#timer);
			if (document.hidden)
				this.#timer = setTimeout(stop, HIDDEN_MS);
			else
				start();
		};
		document.addEventListener("visibilitychange", this.#change);
	}

	end() {
		clearTimeout(this.#timer);
		document.removeEventListener("visibilitychange", this.#change);
	}
}

/* --- the grid --- */

/* The cameras as the person has put them; new ones come last. */
export function inOrder(cameras) {
	const order = load("order", []);
	const place = (camera) => (order.includes(camera.name) ? order.indexOf(camera.name) : order.length);

	return [...cameras].sort((a, b) => place(a) - place(b) || a.name.localeCompare(b.name));
}

export class GridView {
	#server;
	#tiles = new Map(); // by name, those that are shown
	#layout = load("layout", "auto");
	#page = 0;
	#isArranging = false;
	#grid = h("div", { class: "grid" });
	#pages = h("span", { class: "pages" });
	#seen = new IntersectionObserver((entries) => this.#onSeen(entries), { rootMargin: "100px" });
	#hiding;
	#onNarrow = () => this.#arrange();

	constructor(server) {
		const layouts = [["auto", t("layoutAuto")], ...[1, 2, 3, 4].map((n) => [String(n), `${n}×${n}`])];

		this.#server = server;
		this.title = t("live");
		this.toolbar = [
			this.#pages,
			iconButton("arrange", t("arrange"), (event) => this.#toggleArranging(event.currentTarget), { "aria-pressed": "false" }),
			select(t("layout"), layouts, this.#layout, (layout) => this.#chooseLayout(layout)),
		];
		this.toolbar[2].classList.add("wide");
		this.element = h("section", { class: "live", "aria-label": t("live") }, this.#grid);
		this.#hiding = new Hiding(() => this.#tiles.forEach((tile) => tile.stop()), () => this.#arrange());
		isNarrow.addEventListener("change", this.#onNarrow);
		this.#arrange();
	}

	update(server) {
		const names = (one) => one.cameras.map(({ name }) => name).join();
		const changed = names(server) !== names(this.#server);

		this.#server = server;
		for (const camera of server.cameras)
			this.#tiles.get(camera.name)?.update(camera, server);
		if (changed)
			this.#arrange();
	}

	close() {
		this.#hiding.end();
		this.#seen.disconnect();
		isNarrow.removeEventListener("change", this.#onNarrow);
		this.#tiles.forEach((tile) => tile.stop());
	}

	restoreSound() {
		this.#tiles.forEach((tile) => tile.restoreSound());
	}

	/* Arrows move from picture to picture. */
	onKey(event) {
		const links = [...this.#grid.querySelectorAll(".open")];
		const at = links.indexOf(document.activeElement);
		const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.#columns(), ArrowDown: this.#columns() };
		const step = moves[event.key];

		if (!step || !isForView(event) || !links.length)
			return;
		event.preventDefault();
		if (event.shiftKey && at >= 0 && Math.abs(step) === 1)
			this.#move(links[at].dataset.camera, step);
		else
			links[Math.min(Math.max(at + step, 0), links.length - 1)].focus();
	}

	#chooseLayout(layout) {
		this.#layout = layout;
		this.#page = 0;
		save("layout", layout);
		this.#arrange();
	}

	#toggleArranging(button) {
		this.#isArranging = !this.#isArranging;
		button.setAttribute("aria-pressed", String(this.#isArranging));
		this.#grid.classList.toggle("arranging", this.#isArranging);
	}

	#columns() {
		if (isNarrow.matches)
			return 1;
		const n = this.#layout === "auto" ? Math.ceil(Math.sqrt(this.#server.cameras.length)) : Number(this.#layout);
		return Math.min(Math.max(n, 1), MOST_COLUMNS);
	}

	/* Puts the right tiles into the grid, in order; those that stay do not notice. */
	#arrange() {
		const columns = this.#columns();
		const all = inOrder(this.#server.cameras);
		const perPage = isNarrow.matches ? all.length : columns * columns;
		const pages = Math.max(1, Math.ceil(all.length / perPage));
		this.#page = Math.min(this.#page, pages - 1);
		const shown = all.slice(this.#page * perPage, (this.#page + 1) * perPage);

		this.#grid.style.setProperty("--columns", columns);
		this.#grid.style.setProperty("--rows", Math.ceil(shown.length / columns) || 1);
		for (const [name, tile] of this.#tiles) {
			if (shown.some((camera) => camera.name === name))
				continue;
			tile.stop();
			tile.element.remove();
			this.#tiles.delete(name);
		}
		shown.forEach((camera, i) => {
			const tile = this.#tiles.get(camera.name) ?? this.#addTile(camera);
			if (this.#grid.children[i] !== tile.element)
				this.#grid.insertBefore(tile.element, this.#grid.children[i] ?? null);
		});
		this.#seen.disconnect(); // it reports anew, also what moved
		this.#tiles.forEach((tile) => this.#seen.observe(tile.element));
		this.#showPages(pages);
		if (all.length === 0)
			this.#grid.replaceChildren(h("p", { class: "hint" }, t("noCameras")));
		else
			this.#grid.querySelector(".hint")?.remove();
	}

	#showPages(pages) {
		const turn = (by) => {
			this.#page = (this.#page + by + pages) % pages;
			this.#arrange();
		};

		this.#pages.replaceChildren(...(pages < 2 ? [] : [iconButton("back", t("pageBack"), () => turn(-1)),
			h("span", {}, t("pageOf", { page: this.#page + 1, pages })), iconButton("next", t("pageNext"), () => turn(1))]));
	}

	#addTile(camera) {
		const tile = new Tile(camera, true, this.#server);
		const link = h("a", { class: "open", href: `#live/${camera.name}`, "data-camera": camera.name, "aria-label": t("openCamera", { camera: camera.name }) });
		const mover = (name, label, by) => iconButton(name, t(label, { camera: camera.name }), () => this.#move(camera.name, by), { class: "icon mover" });
		const past = iconLink("recordings", t("past", { camera: camera.name }), `#recordings/${camera.name}`);

		tile.picture.append(link);
		tile.element = h("article", { class: "tile", draggable: "true", "data-camera": camera.name, "aria-label": camera.name }, tile.picture,
			h("div", { class: "tile-bar" }, tile.title,
				h("div", { class: "tile-tools" }, mover("left", "moveLeft", -1), mover("right", "moveRight", 1), ...tile.controls, past)));
		this.#addDragging(tile.element, camera.name);
		this.#tiles.set(camera.name, tile);
		return tile;
	}

	#addDragging(element, name) {
		element.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", name));
		element.addEventListener("dragover", (event) => event.preventDefault());
		element.addEventListener("drop", (event) => {
			event.preventDefault();
			this.#place(event.dataTransfer.getData("text/plain"), name);
		});
	}

	#move(name, by) {
		const names = inOrder(this.#server.cameras).map((camera) => camera.name);
		const other = names[names.indexOf(name) + by];

		if (other)
			this.#place(name, other);
		this.#grid.querySelector(`[data-camera="${CSS.escape(name)}"] .open`)?.focus();
	}

	/* Puts one camera where another is. */
	#place(name, where) {
		const names = inOrder(this.#server.cameras).map((camera) => camera.name);
		const [from, to] = [names.indexOf(name), names.indexOf(where)];

		if (from < 0 || to < 0)
			return;
		names.splice(to, 0, ...names.splice(from, 1));
		save("order", names);
		this.#arrange();
	}

	/* What cannot be seen is not played. */
	#onSeen(entries) {
		for (const { target, isIntersecting } of entries) {
			const tile = this.#tiles.get(target.dataset.camera);
			if (isIntersecting)
				tile?.player.start();
			else
				tile?.player.stop();
		}
	}
}

/* --- one camera --- */

export class StageView {
	#server;
	#camera;
	#tile;
	#volume;
	#bar;
	#hiding;
	#moves;

	constructor(server, camera) {
		this.#server = server;
		this.#camera = camera;
		this.#moves = new MoveControls(camera.name);
		this.title = camera.name;
		this.toolbar = [];
		this.element = h("section", { class: "stage", "aria-label": camera.name });
		this.#hiding = new Hiding(() => this.#tile.stop(), () => this.#tile.player.start());
		this.#build(false);
	}

	#build(sub) {
		const { name, files } = this.#camera;
		const qualities = [["main", t("main")], ["sub", t("sub")]];

		this.#tile?.stop();
		this.#tile = new Tile(this.#camera, sub, this.#server);
		this.#volume = h("input", { type: "range", min: "0", max: "1", step: "0.05", class: "volume wide", "aria-label": t("volume"), title: t("volume"),
			oninput: () => this.#tile.setVolume(Number(this.#volume.value)) });
		this.#tile.video.addEventListener("volumechange", () => this.#showVolume());
		this.#tile.picture.addEventListener("dblclick", () => toggleFullscreen(this.element));
		this.#showVolume();
		this.#bar = h("div", { class: "stage-bar" }, iconLink("back", t("back"), "#live"),
			iconButton("left", t("previousCamera"), () => this.#go(-1)), iconButton("right", t("nextCamera"), () => this.#go(1)), this.#tile.title,
			this.#tile.controls[0], this.#volume, this.#tile.controls[1],
			files.has("sub/live.mp4") ? select(t("quality"), qualities, sub ? "sub" : "main", (quality) => this.#build(quality === "sub")) : null,
			this.#moves.button, iconLink("recordings", t("past", { camera: name }), `#recordings/${name}`), iconButton("full", t("full"), () => toggleFullscreen(this.element)));
		this.element.replaceChildren(this.#tile.picture, this.#moves.element, this.#bar);
		this.#tile.player.start();
	}

	#showVolume() {
		this.#volume.value = this.#tile.video.muted ? 0 : this.#tile.video.volume;
	}

	#go(by) {
		const names = inOrder(this.#server.cameras).map((camera) => camera.name);
		const next = names[(names.indexOf(this.#camera.name) + by + names.length) % names.length];

		location.hash = `live/${next}`;
	}

	update(server) {
		const camera = server.cameras.find(({ name }) => name === this.#camera.name);

		this.#server = server;
		if (camera)
			this.#tile.update(camera, server);
	}

	restoreSound() {
		this.#tile.restoreSound();
	}

	onKey(event) {
		const actions = {
			f: () => toggleFullscreen(this.element),
			m: () => this.#tile.toggleSound(),
			ArrowLeft: () => this.#go(-1),
			ArrowRight: () => this.#go(1),
			Escape: () => document.fullscreenElement || (location.hash = "live"),
		};

		if (event.defaultPrevented || !isForView(event) || !actions[event.key])
			return;
		event.preventDefault();
		actions[event.key]();
	}

	close() {
		this.#hiding.end();
		this.#moves.close();
		this.#tile.stop();
	}
}
