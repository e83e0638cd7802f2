// Moving a camera in its live picture: a client of nvrd's ONVIF PTZ service (docs/ONVIF.md), as any other.
import { h, iconButton, isForView, load, save, sleep } from "./dom.js";
import { request } from "./server.js";
import { t } from "./text.js";

const SOAP = "http://www.w3.org/2003/05/soap-envelope";
const SCHEMA = "http://www.onvif.org/ver10/schema";
const PTZ = "http://www.onvif.org/ver20/ptz/wsdl";
const MOVE_LASTS = "PT3S"; // unless it is renewed: nvrd stops the camera when the page is heard of no more
const RENEW_MS = 1000;
const NUDGE_MS = 300; // a click without a pointer, as screen readers make them
const NAME_LETTERS = 20; // nvrd takes 64 bytes

/* Of the pad, row by row: which way x and y go. */
const PAD = [["upLeft", -1, 1], ["up", 0, 1], ["upRight", 1, 1], ["left", -1, 0], ["home"], ["right", 1, 0], ["downLeft", -1, -1], ["down", 0, -1], ["downRight", 1, -1]];
/* x, y and zoom of each key. */
const KEYS = {
	ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
	"+": [0, 0, 1], "=": [0, 0, 1], "-": [0, 0, -1],
};

/* --- SOAP --- */

/* What ONVIF says when it does not do something. */
class Fault extends Error {}

const escape = (text) => text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
const leaf = (name, text) => `<${name}>${escape(text)}</${name}>`;

/* Asks the PTZ service; the answer as a document. A Fault, or what request() throws. */
async function call(operation, body, options = {}) {
	const response = await request("onvif/ptz_service", { method: "POST", headers: { "Content-Type": "application/soap+xml; charset=utf-8" },
		body: `<s:Envelope xmlns:s="${SOAP}" xmlns="${PTZ}" xmlns:tt="${SCHEMA}"><s:Body><${operation}>${body}</${operation}></s:Body></s:Envelope>`, ...options,
	}).catch((error) => {
		if (error.status !== 400 && error.status !== 500)
			throw error;
		return error.response; // a fault
	});
	const answer = new DOMParser().parseFromString(await response.text(), "application/xml");
	const fault = answer.getElementsByTagNameNS(SOAP, "Fault")[0];

	if (fault)
		throw new Fault(fault.getElementsByTagNameNS(SOAP, "Text")[0]?.textContent);
	return answer;
}

/* How this user can move a camera: { pans, zooms, home, presets }; null: not at all. */
async function findNode(camera) {
	const answer = await call("GetNodes", "");
	const node = [...answer.getElementsByTagNameNS(PTZ, "PTZNode")].find((one) => one.getAttribute("token") === camera);
	const of = (name) => node.getElementsByTagNameNS(SCHEMA, name)[0];

	return node ? { pans: Boolean(of("ContinuousPanTiltVelocitySpace")), zooms: Boolean(of("ContinuousZoomVelocitySpace")),
		home: of("HomeSupported")?.textContent === "true", presets: Number(of("MaximumNumberOfPresets")?.textContent) > 0 } : null;
}

/* --- what is held --- */

/*
 * Moves the camera as long as something is held, in all directions together. One move is asked for at a time, and renewed; a stop is
 * sent at once, and again behind a move that was under way, which it may have overtaken.
 */
class Mover {
	#ask; // of the camera: (operation, body, options)
	#onFailure;
	#held = new Map(); // by what holds it, which is the number of a pointer or the name of a key
	#isRunning = false;
	#wake = new AbortController();
	#axes = {}; // that move
	speed = load("moveSpeed", 0.5);

	constructor(ask, onFailure) {
		this.#ask = ask;
		this.#onFailure = onFailure;
	}

	hold(what, direction) {
		this.#held.set(what, direction);
		this.#wake.abort();
		this.#run();
	}

	/* All that `isMeant` says, of what is held. */
	release(isMeant) {
		const released = [...this.#held.keys()].filter(isMeant);

		released.forEach((what) => this.#held.delete(what));
		if (released.length)
			this.#wake.abort();
		if (released.length && this.#held.size === 0)
			this.#stop();
	}

	/* An axis on which nothing is held any more is told so. */
	#velocity() {
		const [x, y, zoom] = [0, 1, 2].map((i) => this.speed * Math.sign([...this.#held.values()].reduce((sum, direction) => sum + direction[i], 0)));

		this.#axes = { pan: x || y || this.#axes.pan, zoom: zoom || this.#axes.zoom };
		return `<Velocity>${this.#axes.pan ? `<tt:PanTilt x="${x}" y="${y}"/>` : ""}${this.#axes.zoom ? `<tt:Zoom x="${zoom}"/>` : ""}</Velocity>`;
	}

	async #run() {
		if (this.#isRunning)
			return;
		this.#isRunning = true;
		try {
			while (this.#held.size) {
				this.#wake = new AbortController();
				await this.#ask("ContinuousMove", `${this.#velocity()}<Timeout>${MOVE_LASTS}</Timeout>`);
				if (this.#held.size)
					await sleep(RENEW_MS, this.#wake.signal);
				else
					this.#stop();
			}
		} catch (error) {
			this.#held.clear();
			this.#stop();
			this.#onFailure(error);
		}
		this.#isRunning = false;
	}

	/* The page may be going: so it is sent nevertheless. */
	#stop() {
		this.#axes = {};
		this.#ask("Stop", "<PanTilt>true</PanTilt><Zoom>true</Zoom>", { keepalive: true }).catch(this.#onFailure);
	}
}

/* --- the controls --- */

/* `button` shows and hides `element`; there is neither until the camera and the user are known to be able to. */
export class MoveControls {
	#camera;
	#mover;
	#directions = new Map(); // by button
	#note = h("p", { class: "bad", role: "status" });
	#presets = h("ul", { class: "presets", "aria-label": t("presets") });
	#letGo = () => this.#mover.release(() => true);
	#onHidden = () => document.hidden && this.#letGo();

	constructor(camera) {
		this.#camera = camera;
		this.#mover = new Mover((...order) => this.#ask(...order), (error) => this.#tell(error));
		this.button = iconButton("move", t("move", { camera }), () => this.#show(this.element.hidden), { hidden: true, "aria-expanded": "false" });
		this.element = h("div", { class: "mover-panel", role: "group", "aria-label": t("move", { camera }), hidden: true,
			onkeydown: (event) => this.#onKey(event), onkeyup: (event) => this.#onKeyUp(event),
			onfocusout: ({ relatedTarget }) => this.element.contains(relatedTarget) || this.#mover.release((what) => typeof what === "string") });
		addEventListener("blur", this.#letGo);
		document.addEventListener("visibilitychange", this.#onHidden);
		this.#begin().catch(() => {}); // then there is none
	}

	close() {
		this.#letGo();
		removeEventListener("blur", this.#letGo);
		document.removeEventListener("visibilitychange", this.#onHidden);
	}

	async #begin() {
		const node = await findNode(this.#camera);

		if (!node || !(node.pans || node.zooms || node.home || node.presets))
			return;
		this.#build(node);
		this.button.hidden = false;
	}

	#build({ pans, zooms, home, presets }) {
		const goHome = home ? iconButton("home", t("move_home"), () => this.#order("GotoHomePosition")) : null;
		const pad = PAD.map(([name, x, y]) => (name === "home" ? goHome ?? h("span") : this.#holder("up", t(`move_${name}`), [x, y, 0], Math.atan2(x, y))));
		const speed = h("input", { type: "range", min: "0.1", max: "1", step: "0.1", value: this.#mover.speed, "aria-label": t("speed"), title: t("speed"),
			oninput: () => save("moveSpeed", this.#mover.speed = Number(speed.value)) });
		const name = h("input", { maxlength: NAME_LETTERS, required: true, placeholder: t("presetName"), "aria-label": t("presetName") });
		const form = h("form", { onsubmit: (event) => this.#savePreset(event, name) }, name, iconButton("keep", t("keepPreset"), null, { type: "submit" }));

		this.element.append(
			h("div", { class: "moves", title: t("moveHelp") },
				pans ? h("div", { class: "pad" }, ...pad) : goHome,
				zooms ? h("div", { class: "zooms" }, this.#holder("plus", t("zoomIn"), [0, 0, 1]), this.#holder("minus", t("zoomOut"), [0, 0, -1])) : null,
				pans || zooms ? speed : null, this.#note));
		if (presets)
			this.element.append(h("div", { class: "places" }, this.#presets, form));
	}

	/* A button that moves the camera while it is held. */
	#holder(name, label, direction, turn = 0) {
		const button = iconButton(name, label, ({ detail }) => detail === 0 && this.#nudge(direction));
		const release = ({ pointerId }) => this.#mover.release((what) => what === pointerId);

		button.firstChild.style.transform = `rotate(${turn}rad)`;
		button.classList.add("hold");
		button.addEventListener("pointerdown", (event) => {
			if (event.button !== 0)
				return;
			button.setPointerCapture(event.pointerId); // so that it is heard of wherever it ends
			this.#hold(event.pointerId, direction);
		});
		for (const kind of ["pointerup", "pointercancel", "lostpointercapture"])
			button.addEventListener(kind, release);
		button.addEventListener("contextmenu", (event) => event.preventDefault()); // which a long touch is elsewhere
		this.#directions.set(button, direction);
		return button;
	}

	#hold(what, direction) {
		this.#note.textContent = "";
		this.#mover.hold(what, direction);
	}

	#nudge(direction) {
		this.#hold("nudge", direction);
		setTimeout(() => this.#mover.release((what) => what === "nudge"), NUDGE_MS);
	}

	#show(isShown) {
		this.#letGo();
		this.element.hidden = !isShown;
		this.button.setAttribute("aria-expanded", String(isShown));
		if (!isShown)
			return this.button.focus();
		this.#note.textContent = "";
		this.element.querySelector("button")?.focus(); // for the keys
		if (this.#presets.isConnected)
			this.#listPresets();
	}

	/* --- keys --- */

	#onKey(event) {
		const isPress = [" ", "Enter"].includes(event.key);
		const direction = isForView(event) && (isPress ? this.#directions.get(event.target) : KEYS[event.key]);

		if (direction && !event.repeat)
			this.#hold(event.code || event.key, direction); // of "+" the key may come up as "="
		else if (event.key === "Escape")
			this.#show(false);
		else if (!direction)
			return;
		event.preventDefault();
	}

	#onKeyUp(event) {
		this.#mover.release((what) => what === (event.code || event.key));
	}

	/* --- what the camera is asked --- */

	#ask(operation, body = "", options = {}) {
		return call(operation, leaf("ProfileToken", this.#camera) + body, options);
	}

	#tell(error) {
		this.#note.textContent = t("moveFailed", { why: error instanceof Fault ? error.message : t("noAnswer") });
	}

	/* The answer; null when it did not work, which is told. */
	async #order(operation, body) {
		this.#note.textContent = "";
		return this.#ask(operation, body).catch((error) => {
			this.#tell(error);
			return null;
		});
	}

	async #listPresets() {
		const answer = await this.#order("GetPresets");
		const presets = [...answer?.getElementsByTagNameNS(PTZ, "Preset") ?? []];

		this.#presets.replaceChildren(...presets.map((one) => {
			const token = one.getAttribute("token");
			const name = one.getElementsByTagNameNS(SCHEMA, "Name")[0]?.textContent || token;
			return h("li", {}, h("button", { type: "button", onclick: () => this.#order("GotoPreset", leaf("PresetToken", token)) }, name));
		}));
	}

	async #savePreset(event, name) {
		event.preventDefault();
		if (!await this.#order("SetPreset", leaf("PresetName", name.value)))
			return;
		name.value = "";
		await this.#listPresets();
	}
}
