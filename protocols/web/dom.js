// Elements, icons, and what this browser remembers. Text from outside is only ever put in as text.

const ICONS = {
	live: "M4 6h11v12H4zM15 10l5-3v10l-5-3",
	recordings: "M12 4a8 8 0 1 0 8 8M12 8v4l3 2M16 4h4v4",
	system: "M4 19V5M4 19h16M8 15l3-4 3 2 5-6",
	sound: "M4 9v6h4l5 4V5L8 9zM16 9a4 4 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11",
	silent: "M4 9v6h4l5 4V5L8 9zM17 10l4 4M21 10l-4 4",
	full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
	back: "M15 5l-7 7 7 7",
	next: "M9 5l7 7-7 7",
	left: "M20 12H5M11 6l-6 6 6 6",
	right: "M4 12h15M13 6l6 6-6 6",
	up: "M12 20V5M6 11l6-6 6 6",
	home: "M4 11l8-7 8 7M6 10v9h12v-9",
	plus: "M12 5v14M5 12h14",
	minus: "M5 12h14",
	move: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
	keep: "M7 4h10v16l-5-4-5 4z",
	play: "M7 4l13 8-13 8z",
	pause: "M8 5v14M16 5v14",
	stepBack: "M17 5l-8 7 8 7zM6 5v14",
	stepNext: "M7 5l8 7-8 7zM18 5v14",
	clip: "M8 4v16M16 4v16M8 6H4M8 18H4M16 6h4M16 18h4",
	download: "M12 4v11M7 11l5 5 5-5M5 20h14",
	arrange: "M4 4h7v7H4zM13 13h7v7h-7zM14 7h5M17 4.5L19.5 7 17 9.5M10 17H5M7 14.5L4.5 17 7 19.5",
	dark: "M19 14.5A8 8 0 0 1 9.5 5a8 8 0 1 0 9.5 9.5z",
	light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2",
	auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
	calendar: "M4 6h16v14H4zM4 10h16M8 3v4M16 3v4",
	now: "M5 4l9 8-9 8zM18 4v16",
	leave: "M14 4H5v16h9M10 12h10M16 8l4 4-4 4",
};

/* An element with attributes ("onclick" and the like are listeners) and children, of which strings become text. */
export function h(tag, attributes = {}, ...children) {
	const element = document.createElement(tag);

	for (const [name, value] of Object.entries(attributes)) {
		if (name.startsWith("on"))
			element.addEventListener(name.slice(2), value);
		else if (value !== false && value !== null && value !== undefined)
			element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.filter((child) => child !== null && child !== undefined));
	return element;
}

export function icon(name) {
	const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
	const path = document.createElementNS("http://www.w3.org/2000/svg", "path");

	svg.setAttribute("viewBox", "0 0 24 24");
	svg.setAttribute("aria-hidden", "true");
	path.setAttribute("d", ICONS[name]);
	svg.append(path);
	return svg;
}

/* A button that is an icon; its label is for screen readers, and shown when the pointer rests on it. */
export function iconButton(name, label, onclick, attributes = {}) {
	return h("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick, ...attributes }, icon(name));
}

export function iconLink(name, label, href) {
	return h("a", { class: "icon", "aria-label": label, title: label, href }, icon(name));
}

export function setIcon(button, name, label) {
	button.replaceChildren(icon(name));
	button.setAttribute("aria-label", label);
	button.title = label;
}

/* A <select> of [value, text] pairs. */
export function select(label, options, value, onchange) {
	const element = h("select", { "aria-label": label, title: label },
		...options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));

	element.addEventListener("change", () => onchange(element.value));
	return element;
}

/* Settings of this browser; a private window may refuse to keep them. */
export function load(key, fallback) {
	try {
		return JSON.parse(localStorage.getItem(`nvrd.${key}`)) ?? fallback;
	} catch {
		return fallback;
	}
}

export function save(key, value) {
	try {
		localStorage.setItem(`nvrd.${key}`, JSON.stringify(value));
	} catch {
		// then it is forgotten with the page
	}
}

export const isNarrow = matchMedia("(max-width: 700px)");

export function toggleFullscreen(element) {
	if (document.fullscreenElement)
		document.exitFullscreen();
	else if (element.requestFullscreen)
		element.requestFullscreen().catch(() => {});
	else
		element.querySelector("video")?.webkitEnterFullscreen?.(); // iPhones have it for videos alone
}

/* Resolves after so long, or at once when the signal is aborted. */
export function sleep(ms, signal) {
	return new Promise((resolve) => {
		const end = () => {
			clearTimeout(timer);
			signal?.removeEventListener("abort", end);
			resolve();
		};
		const timer = setTimeout(end, signal?.aborted ? 0 : ms);
		signal?.addEventListener("abort", end);
	});
}

/* Whether a key is meant for the view, and not for a field that has the focus. */
export function isForView(event) {
	return !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest?.("input, select, textarea");
}
